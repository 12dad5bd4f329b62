"""Files: written whole or not at all, locked, read safely, and named in every error.

    open_atomic         write a file whole or not at all
    lock_folder         keep other processes out of a folder
    open_regular        read a file, never a pipe or a device
    open_image          read an image in one of the formats below
    require_own         refuse to overwrite what tinyfcn did not write
    printable           make text of unknown origin safe to print
"""
from .atomic import make_folder, open_atomic
from .errors import FormatError, describe_read_errors
from .folders import describe_folder
from .images import ImageError, open_image
from .lock import lock_folder
from .overwrite import require_own
from .regular import ReadError, open_regular, read_text
from .text import printable

__all__ = ['FormatError', 'ImageError', 'ReadError', 'describe_folder', 'describe_read_errors',
           'lock_folder', 'make_folder', 'open_atomic', 'open_image', 'open_regular', 'printable',
           'read_text', 'require_own']
