"""What is known of a net, in a zip that other programs read too: a .pth or an .npz.

It is a member of its own, `about` in JSON. torch.load passes over it, numpy.load returns its bytes.
Without it a reader could only guess from the names which images the weights were trained on.
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
    """`about` in JSON; refused if `read_note` would refuse it."""
    text = json.dumps(about)
    check_about(json.loads(text))
    return text


def read_note(archive: zipfile.ZipFile, folder: str = '') -> dict[str, Any]:
    """-> about; {} of a zip without a note"""
    name = f'{folder}{MEMBER}'
    if name not in archive.namelist():
        return {}
    if archive.getinfo(name).file_size > MAX_BYTES:
        raise FormatError(f'what its {MEMBER} says is longer than {MAX_BYTES:,} bytes; tinyfcn did '
                          f'not write it')
    return check_about(json.loads(archive.read(name)))
