"""The page of a player: one file, with its script, its style and its trace inside."""
import html
import json
import re
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ...files import printable
from .last_frame import last_frame
from .text import with_printable_texts, with_short_numbers

SCRIPTS = {
    'grid': ['player.mjs', 'math.mjs', 'numbers.mjs', 'equation.mjs', 'motion.mjs', 'grids.mjs',
             'terms.mjs'],
    'alignment': ['player.mjs', 'math.mjs', 'maps.mjs', 'alignment.mjs'],
    'stack': ['player.mjs', 'math.mjs', 'maps.mjs', 'restack.mjs', 'stack.mjs'],
    'images': ['player.mjs', 'math.mjs', 'images.mjs'],
    'descent': ['player.mjs', 'math.mjs', 'numbers.mjs', 'descent.mjs'],
}
STYLES = {
    'grid': ['player.css', 'grids.css'],
    'alignment': ['player.css', 'maps.css'],
    'stack': ['player.css', 'maps.css', 'stack.css'],
    'images': ['player.css', 'images.css'],
    'descent': ['player.css', 'descent.css'],
}
EDIT_SCRIPTS = 'edit.mjs', 'retrace.mjs'
TRACE_SCRIPTS = dict(convolution='convolution.mjs', im2col='convolution.mjs',
                     max_pool='max_pool.mjs', scatter='scatter.mjs', zero_insert='zero_insert.mjs',
                     transposed_matrix='transposed_matrix.mjs')
EDIT_PLACE = '/*edit*/'
START_PLACE = '/*start*/'
PART = re.compile(r' (data-[\w-]+-[0-9a-f]{8})="[^"]*"')
TRAILING_COMMENT = re.compile(r'\s{2,}// .*')
CELL_HEIGHT = 30            # pixels
OTHER_HEIGHT = 190          # pixels: of everything that is not a grid

# Hides the last frame, which stands before the player, and writes the page into its frame. A
# browser that runs no script goes on showing the last frame. A part that this iframe does not have
# is in another one of the notebook, see share_parts; it may be shown later than this one.
LOADER = """<!doctype html><script type="module">
const frame = window.frameElement, host = window.parent
const known = host.tinyfcnPlayers ??= {}
const names = %s
const unpack = text => {
const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt())
const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'))
return new Response(stream).text()
}
const collect = () => {
for (const name of names) {
const owner = frame.hasAttribute(name) ? frame : host.document.querySelector(`iframe[${name}]`)
known[name] ??= owner?.getAttribute(name)
}
return names.every(name => known[name])
}
const open = async () => {
let page = await unpack('%s')
for (const name of names) {
const part = await unpack(known[name])
page = page.replace(`/*${name}*/`, () => part)
}
const still = frame.previousElementSibling
if (still?.className === 'player-still') still.style.display = 'none'
document.open()
document.write(page)
document.close()
}
if (collect()) open()
else {
frame.style.height = 0
const observer = new host.MutationObserver(() => {
if (!collect()) return
observer.disconnect()
open()
})
observer.observe(host.document, { childList: true, subtree: true })
}
</script>"""


def make_page(trace: dict[str, Any]) -> str:
    """A complete HTML page."""
    page = _without_parts(trace)
    for name, text in part_texts(trace).items():
        page = page.replace(f'/*{name}*/', text)
    return page


def make_blank_page() -> str:
    """A complete HTML page of a player whose trace a script computes.

    It writes the trace's `edit` in the place of EDIT_PLACE, and the number of the step that is
    shown first in that of START_PLACE.
    """
    traces = dict.fromkeys(TRACE_SCRIPTS.values())
    script = join_files([*SCRIPTS['grid'], *EDIT_SCRIPTS, *traces])
    return _fill('step by step', join_files(STYLES['grid']), [script],
                 f'retrace({EDIT_PLACE}), {START_PLACE}')


def make_output(trace: dict[str, Any]) -> str:
    """What a notebook shows: the last frame, and after it an iframe with the page.

    In an iframe, names and styles cannot collide with those of the page around it.
    """
    parts = part_texts(trace)
    attributes = ' '.join(f'{name}="{_pack(text)}"' for name, text in parts.items())
    title = html.escape(printable(trace['title']))
    loader = html.escape(LOADER % ([*parts], _pack(_without_parts(trace))), quote=False)
    loader = loader.replace("'", '&#39;')
    return (f'<div class="player-still">{last_frame(trace)}</div>'
            f'<iframe title="{title}" '
            f'style="width:100%;height:{estimate_height(trace)}px;border:0" '
            f"{attributes} srcdoc='{loader}'></iframe>")


def share_parts(outputs: Iterable[str]) -> Iterator[str]:
    """The outputs of a notebook, with each script and style only in the first that has it.

    Scripts are most of a player. One that a reader runs anew has all parts again.
    """
    seen: set[str] = set()

    def keep_first(part: re.Match[str]) -> str:
        is_new = part[1] not in seen
        seen.add(part[1])
        return part[0] if is_new else ''

    for output in outputs:
        yield PART.sub(keep_first, output) if '"player-still"' in output else output


def _without_parts(trace: dict[str, Any]) -> str:
    """The page with the names of its parts in their places, as comments."""
    shown = with_short_numbers(with_printable_texts(trace))
    # as JavaScript, which unlike JSON has NaN and Infinity
    text = json.dumps(shown, ensure_ascii=False, separators=(',', ':'))
    text = text.replace('<', '\\u003c')                 # "</script>" in a string ends the script
    style, *scripts = (f'/*{name}*/' for name in part_texts(trace))
    return _fill(trace['title'], style, scripts, text)


def _fill(title: str, style: str, scripts: Iterable[str], trace: str) -> str:
    """trace: in JavaScript"""
    return (f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<title>{html.escape(printable(title))}</title>\n<link rel="icon" href="data:,">\n'
            f'<style>\n{style}\n</style>\n<main class="player"></main>\n'
            f'<script type="module">\n' + '\n'.join(scripts) +
            f"\nplay(document.querySelector('main'), {trace})\n</script>\n</html>\n")


def part_texts(trace: dict[str, Any]) -> dict[str, str]:
    """{name: text} of the style and the scripts; equal names have equal texts."""
    kind = trace['kind']
    files = {f'style-{kind}': STYLES[kind], kind: SCRIPTS[kind]}
    if 'edit' in trace:
        function = trace['edit']['function']
        files.update({'edit': [*EDIT_SCRIPTS], function: [TRACE_SCRIPTS[function]]})
    texts = {label: join_files(names) for label, names in files.items()}
    return {f'data-{label}-{zlib.crc32(text.encode()):08x}': text for label, text in texts.items()}


def _pack(text: str) -> str:
    return b64encode(zlib.compress(text.encode(), 9)).decode()


@cache
def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text('utf-8')


def join_files(names: Iterable[str]) -> str:
    """The files of this folder, without indentation and comments."""
    lines = []
    for name in names:
        for line in _read(name).splitlines():
            line = TRAILING_COMMENT.sub('', line).strip()
            if line and not line.startswith(('//', '/*')):
                lines.append(line)
    return '\n'.join(lines)


def estimate_height(trace: dict[str, Any]) -> int:
    """In pixels; the page corrects it when it has measured itself."""
    if trace['kind'] != 'grid':
        return 3 * OTHER_HEIGHT
    most_cells: dict[int, int] = {}
    for grid in trace['grids']:
        row = grid.get('row', 0)
        most_cells[row] = max(most_cells.get(row, 0), len(grid['values']))
    return OTHER_HEIGHT + sum(CELL_HEIGHT * (cells + 2) for cells in most_cells.values())
