"""The `about` of a net in a .pth or .npz, which are zips that other programs read, too.

It is a member of its own, in JSON. torch.load ignores it, and numpy.load returns its bytes. Without
it a reader could only guess from the names which images the weights were trained on.
"""
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from ..files import FormatError
from .about import check_about

MEMBER = 'tinyfcn.json'
MAX_BYTES = 8 << 20


def note_text(about: Mapping[str, Any]) -> str:
    """`about` in JSON; raises if `read_note` would not accept it."""
    text = json.dumps(about)
    check_about(json.loads(text))
    return text


def read_note(archive: zipfile.ZipFile, folder: str = '') -> dict[str, Any]:
    """-> about; {} for a zip without a note.   folder: of the member in the zip, '' or 'name/'"""
    name = f'{folder}{MEMBER}'
    if name not in archive.namelist():
        return {}
    if archive.getinfo(name).file_size > MAX_BYTES:
        raise FormatError(f'its {MEMBER} is longer than {MAX_BYTES:,} bytes; tinyfcn did not write '
                          f'it')
    return check_about(json.loads(archive.read(name)))
