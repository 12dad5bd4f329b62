"""Keep what a person made: only files that tinyfcn wrote are overwritten."""
import os

from .regular import open_regular
from .text import printable

MARK = 'tinyfcn'                # stands in the head of every file that a command writes
HEAD = 1 << 12                  # bytes, in which the mark is; at the end of some files in as many
# how drawings and pages name the program that wrote them. The word alone may stand in the path of a
# file that another program has noted, as Inkscape does
MARKS = {
    b'\x89PNG': f'Software\0{MARK}'.encode(),
    b'%PDF': f'({MARK})'.encode(),
    b'<!doctype html>': f'<meta name="generator" content="{MARK}">'.encode(),
    b'<': f'<dc:title>{MARK}</dc:title>'.encode(),
}


def require_own(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Raise if there is a file at `path` that tinyfcn did not write.

    A file is taken for one of its own if MARK stands in its head: PNG, SVG and HTML name the
    program that wrote them, .safetensors files and run.json have it among their metadata. PDF and
    MP4 files name the program at their end. A link is refused, as by `open_atomic`, before anything
    is written.
    """
    if os.path.islink(path):
        raise ValueError(f'{printable(path)}: a link to {printable(os.readlink(path))}; remove the '
                         f'link, or choose another name')
    if overwrite or not os.path.lexists(path):
        return
    with open_regular(path) as file:
        head = file.read(HEAD)
        tail = b''
        if head.startswith(b'%PDF') or head[4:8] == b'ftyp':    # which MP4 files begin with
            file.seek(max(0, os.fstat(file.fileno()).st_size - HEAD))
            tail = file.read(HEAD)
    mark = next((mark for start, mark in MARKS.items() if head.startswith(start)), MARK.encode())
    if mark not in head + tail:
        raise ValueError(f'{printable(path)}: exists, and was not written by tinyfcn; choose '
                         f'another name, or --overwrite it')
