"""Numbers and texts as players show them."""
from math import isfinite
from typing import Any

from ...files import printable

MAX_TEXT = 1000             # characters of a title or a caption
MAX_DIGITS = 9              # of a number in a page, more than it shows


def format_number(value: float | str | None) -> str:
    """Three significant digits, integers in full, '' for None.

    >>> format_number(7.0), format_number(-1 / 3), format_number(1230.5), format_number(1.2e-7)
    ('7', '−0.333', '1230', '1.2e−7')
    """
    if value is None:
        return ''
    if isinstance(value, str):
        return value
    if not isfinite(value):
        return str(float(value)).replace('-', '−').replace('inf', '∞')
    if value == int(value) and abs(value) < 1e7:
        return str(int(value)).replace('-', '−')
    text = f'{value:.3g}'
    if 1e-4 <= abs(float(text)) < 1e7:
        text = f'{float(text):f}'.rstrip('0').rstrip('.')
    elif 'e' in text:
        digits, power = text.split('e')
        text = f'{digits}e{int(power)}'
    return text.replace('-', '−')


def format_values(trace: dict[str, Any]) -> dict[str, Any]:
    """The trace with every value of its grids as text, and only texts that can be shown."""
    trace = with_printable_texts(trace)
    if trace['kind'] != 'grid':
        return trace
    grids = []
    for grid in trace['grids']:
        values = [[format_number(value) for value in row] for row in grid['values']]
        grids.append({**grid, 'values': values})
    frames = []
    for frame in trace['frames']:
        cells_by_grid = {name: [[i, j, format_number(value)] for i, j, value in cells]
                         for name, cells in frame.get('set', {}).items()}
        frames.append({**frame, 'set': cells_by_grid})
    return {**trace, 'grids': grids, 'frames': frames}


def with_printable_texts(value: Any) -> Any:
    """What a trace holds, in which no text has characters that a page or a font cannot show."""
    if isinstance(value, str):
        # the address of a picture is long, and nothing that a reader sees
        return value if value.startswith('data:image/') else printable(value, limit=MAX_TEXT)
    if isinstance(value, dict):
        return {with_printable_texts(key): with_printable_texts(item)
                for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_printable_texts(item) for item in value]
    return value


def with_short_numbers(value: Any) -> Any:
    """What a trace holds, with floats of no more digits than matter for what is shown."""
    if isinstance(value, float) and isfinite(value):
        return int(value) if value == int(value) and abs(value) < 1e7 else float(
            f'{value:.{MAX_DIGITS}g}')
    if isinstance(value, dict):
        return {key: with_short_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_short_numbers(item) for item in value]
    return value
