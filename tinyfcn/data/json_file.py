"""JSON files, of which every error says where it is."""
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import open_regular, printable

MAX_JSON = 1 << 29              # bytes; COCO's list of 118,000 images has 448 million


def read_json(path: str | Path, what: str) -> Any:
    """The content of a JSON file. what: the kind of file it should be, for errors."""
    source = printable(path, limit=None)
    with open_regular(path) as file:
        data = file.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise ValueError(f'{source}: more than {MAX_JSON:,} bytes; split it into several folders')
    if not data.strip():
        raise ValueError(f'{source}: the file is empty; export it again as {what}')
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        raise ValueError(f'{source}, line {error.lineno}, column {error.colno}: not JSON '
                         f'({printable(error.msg)}); the file is cut short or was edited: export '
                         f'it again as {what}') from None
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b'\n') + 1
        raise ValueError(f'{source}, line {line}: not UTF-8 at byte {error.start:,}; save the '
                         f'file as UTF-8') from None
    except RecursionError:
        raise ValueError(f'{source}: lists within lists within lists without end; this is not '
                         f'{what}') from None
    except ValueError as error:                         # a number of thousands of digits
        raise ValueError(f'{source}: {printable(error)}; this is not {what}') from None


def require_type(value: object, kind: type | tuple[type, ...], place: str, what: str) -> Any:
    """The value itself, if it is of this kind. `True` is no number.

    >>> require_type([1, 2], list, 'a.json: shape 3', 'its points are a list')
    [1, 2]
    """
    if not isinstance(value, kind) or isinstance(value, bool) and kind is not bool:
        raise ValueError(f'{place}: {printable(_shown(value), limit=60)} where {what}')
    return value


def require_key(table: Mapping[str, Any], key: str, place: str, advice: str) -> Any:
    """table[key]; without it an error that says where, and what to do."""
    if key not in table:
        known = ', '.join(map(str, list(table)[:8])) or 'nothing'
        raise ValueError(f'{place}: no {key!r}, only {printable(known)}; {advice}')
    return table[key]


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
