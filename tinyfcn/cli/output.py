"""Print: the one place from which all commands write to the terminal."""
import errno
import os
import sys
from contextlib import suppress
from typing import TextIO

from ..files import printable

# what stands in for characters that the encoding of a terminal lacks; others become escapes
SUBSTITUTES = str.maketrans({
    '×': 'x', '–': '-', '—': '-', '−': '-', '…': '...', '→': '->', '·': '*', '±': '+/-',
    '’': "'", '‘': "'", '“': '"', '”': '"'})
# nothing reads the output: `| head` has ended, or the terminal is closed
NOT_READ = errno.EPIPE, errno.EIO


def say(text: object = '', file: TextIO | None = None) -> None:
    r"""Print some lines, on stdout by default; progress bars move out of their way.

    Control characters are escaped, since names of files and classes may hold any. What a command
    computes does not depend on its output: once its reader has ended, the rest is dropped.

    >>> say('4×5 pixels of \x1b[2J')
    4×5 pixels of \x1b[2J
    """
    file = file or sys.stdout
    if file is None:                                    # the command was started without one
        return
    lines = encodable(printable(text, keep='\n\t', limit=None), file.encoding or 'utf-8')
    tqdm = sys.modules.get('tqdm')                      # where it is not imported, no bar is shown
    try:
        if tqdm:
            tqdm.tqdm.write(lines, file=file)
        else:
            print(lines, file=file)
        file.flush()
    except OSError as error:
        drop_output(file)
        # what cannot be written to stderr cannot be reported either
        if error.errno not in NOT_READ and file is not sys.stderr:
            raise OSError(error.errno, error.strerror, 'the output of this command') from None


def encodable(text: str, encoding: str) -> str:
    """The text with substitutes for the characters that an encoding lacks.

    >>> print(encodable('3×4 pixels of Äcker', 'ascii'))
    3x4 pixels of \\xc4cker
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        encoded = text.translate(SUBSTITUTES).encode(encoding, 'backslashreplace')
        return encoded.decode(encoding)
    return text


def drop_output(file: TextIO) -> None:
    """Send what is printed from now on nowhere, also what Python flushes when it ends."""
    with suppress(OSError):                             # of a file that is no file of the system
        handle = file.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, handle)
        os.close(nowhere)
