"""Build the notebooks of the course: scripts in, executed notebooks out.

    python lessons/course.py            all of them
    python lessons/course.py 03 09      these two

A lesson is a script in jupytext's percent format, with `# %%` above each cell; only the script is
edited. Its notebook has the same cells and their outputs, without anything that changes from one
run to the next. Cells that only import, draw or check have `# %% tags=["hide-input"]` above them:
their code is folded.
"""
import os
import re
import sys
from base64 import b64decode, b64encode
from functools import partial
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import v4
from PIL import Image

from tinyfcn.course.player.page import share_parts

HERE = Path(__file__).parent
# JupyterLab folds a cell by its metadata, other tools by its tag
TAGS = dict(tags=['hide-input'])
FOLDED = dict(**TAGS, jupyter=dict(source_hidden=True))
# the first of these in an output is kept
OUTPUT_TYPES = 'text/html', 'text/markdown', 'image/png', 'text/plain'
CELL_TIMEOUT = 120                                      # seconds
# how fast a lesson is read, and how long its parts take besides
WORDS_A_MINUTE = 120
LINES_A_MINUTE = 8
EXERCISE_MINUTES = 12
EXPERIMENT_MINUTES = 4
PLAYER_MINUTES = 3
QUESTION_MINUTES = 2
METADATA = dict(kernelspec=dict(name='python3', display_name='Python 3', language='python'),
                language_info=dict(name='python'))

# Runs before the first cell and is not part of the notebook: a network connection is an error.
BLOCK_NETWORK = """
def block_network(event, args):
    if event == 'socket.connect' and isinstance(args[1], tuple):
        host = args[1][0]
    elif event == 'socket.getaddrinfo':
        host = args[0]
    else:
        return
    if host not in (None, '', 'localhost', '127.0.0.1', '::1'):
        raise OSError(f'a lesson must run without a network, and this one connects to {host}')


__import__('sys').addaudithook(block_network)
del block_network
"""


def find_scripts(numbers=()):
    """The scripts of the lessons with these numbers, or of all, in order. -> list of paths"""
    scripts = {path.name[1:3]: path for path in sorted(HERE.glob('l[0-9][0-9]_*.py'))}
    wanted = [number.removeprefix('l').zfill(2) for number in numbers] or scripts
    for number in wanted:
        if number not in scripts:
            raise ValueError(f'no lesson {number}; there are {", ".join(scripts) or "none yet"}')
    return [scripts[number] for number in wanted]


def read_cells(path):
    """The cells of a script. -> list of ('code', 'folded' or 'markdown', text)"""
    script = path.read_text('utf-8')
    nb = jupytext.reads(script, 'py:percent')
    nb.metadata['jupytext'] = dict(notebook_metadata_filter='-all')
    again = jupytext.writes(nb, 'py:percent')
    pairs = zip_longest(script.splitlines(), again.splitlines(), fillvalue='the end')
    for i, (line, expected) in enumerate(pairs, 1):
        if line != expected:
            raise ValueError(f'{path.name}, line {i}: {line!r} is read as {expected!r}; each cell '
                             f'begins with # %%, and lines of text with "# "')
    for cell in nb.cells:
        cell.metadata.pop('lines_to_next_cell', None)
        if cell.metadata not in ({}, TAGS):
            raise ValueError(f'{path.name}: the cell {cell.source[:40]!r} has '
                             f'{dict(cell.metadata)}; a lesson has [markdown] and '
                             f'tags=["hide-input"]')
    return [('folded' if cell.metadata else cell.cell_type, cell.source.strip('\n'))
            for cell in nb.cells]


def reading_minutes(cells):
    """How long a lesson takes someone who reads it all and does its exercises. -> a multiple of 5

    The rates were set by going through lessons with a clock: a page of this kind is read slowly.
    """
    text = ' '.join(text for kind, text in cells if kind == 'markdown')
    solutions = re.findall(r'<summary>Solution</summary>.*?</details>', text, re.S)
    words = len(re.sub(r'<details>.*?</details>', '', text, flags=re.S).split())
    code = [text for kind, text in cells if kind == 'code']
    lines = sum(len(text.splitlines()) for text in code)
    experiments = sum('# try:' in text for text in code)
    players = sum('tracing.' in text or 'Player(' in text for kind, text in cells)
    minutes = (words / WORDS_A_MINUTE + lines / LINES_A_MINUTE + EXERCISE_MINUTES * len(solutions)
               + EXPERIMENT_MINUTES * experiments + PLAYER_MINUTES * players + QUESTION_MINUTES * 3)
    return 5 * round(minutes / 5)


def new_notebook(cells):
    """A notebook of these cells, not executed yet. -> nbformat's notebook"""
    new_cell = dict(code=v4.new_code_cell, markdown=v4.new_markdown_cell,
                    folded=partial(v4.new_code_cell, metadata=FOLDED))
    return v4.new_notebook(metadata=METADATA, cells=[
        new_cell[kind](text, id=f'cell-{i:02}') for i, (kind, text) in enumerate(cells)])


def execute(nb, folder, cache=None):
    """Run all cells with this Python, in `folder`, without a network, and clean the outputs. -> nb

    The cells of nb are changed in place. cache: the folder of trained weights that they see; by
    default an empty one, so that a notebook does not depend on what its maker has downloaded.
    """
    guarded = v4.new_notebook(metadata=METADATA,
                              cells=[v4.new_code_cell(BLOCK_NETWORK), *nb.cells])
    client = NotebookClient(guarded, timeout=CELL_TIMEOUT, extra_arguments=['--log-level=ERROR'],
                            resources=dict(metadata=dict(path=str(folder))))
    # use the Python that runs this file, whatever other kernels are installed
    client.create_kernel_manager().kernel_spec_manager.kernel_dirs = []
    with TemporaryDirectory() as empty:
        # with a fixed hash seed a set of strings is printed in the same order every time, and with
        # one thread BLAS adds in the same order, however many cores there are
        client.execute(env={**os.environ, 'PYTHONHASHSEED': '0', 'OPENBLAS_NUM_THREADS': '1',
                            'TINYFCN_CACHE': str(cache or empty)})

    for cell in nb.cells:
        cell.metadata.pop('execution', None)            # when it ran
    code_cells = [cell for cell in nb.cells if cell.cell_type == 'code']
    for count, cell in enumerate(code_cells, 1):
        cell.execution_count = count
        cell.outputs = clean_outputs(cell.outputs, count)
    data = [output.data for cell in code_cells for output in cell.outputs
            if 'text/html' in output.get('data', {})]
    for each, html in zip(data, share_parts([each['text/html'] for each in data])):
        each['text/html'] = html
    return nb


def clean_outputs(outputs, count):
    """The text, HTML and images among the outputs of code cell number `count`. -> list"""
    kept = []
    for output in outputs:
        if output.get('name') == 'stderr':              # progress bars; warnings are an error
            if 'Warning' in output.text:
                raise ValueError(f'code cell {count} warns: {output.text}')
        elif output.output_type == 'stream':
            if kept and kept[-1].output_type == 'stream':
                kept[-1].text += output.text            # how a stream is split depends on timing
            else:
                kept.append(v4.new_output('stream', name='stdout', text=output.text))
        else:
            kept.append(clean_data(output, count))
    for output in kept:
        text = output.get('text') or output.data.get('text/plain', '')
        if address := re.search(r'<[^<>]* at 0x[0-9a-f]+>', text):
            raise ValueError(f'code cell {count} shows {address.group()}, another one each time; '
                             f'end its last line with ;')
    return kept


def clean_data(output, count):
    """An output with data, of which one of OUTPUT_TYPES is kept; it is changed in place."""
    mime = next((mime for mime in OUTPUT_TYPES if mime in output.data), None)
    if mime is None:
        raise ValueError(f'code cell {count} shows {", ".join(output.data)}; a lesson '
                         f'keeps {", ".join(OUTPUT_TYPES)}')
    data = output.data[mime]
    output.data = {mime: shrink_png(data) if mime == 'image/png' else data}
    output.metadata = {}
    if 'execution_count' in output:
        output.execution_count = count
    return output


def shrink_png(png):
    """A PNG (base64) with a palette of 256 colours: a third of the size, and hardly different."""
    with Image.open(BytesIO(b64decode(png))) as image:
        background = Image.new('RGBA', image.size, 'white')
        opaque = Image.alpha_composite(background, image.convert('RGBA'))
    file = BytesIO()
    opaque.convert('RGB').quantize().save(file, 'png', optimize=True)
    return b64encode(file.getvalue()).decode()


def make_notebook(path):
    """Write the notebook of a script beside it. -> nb"""
    nb = new_notebook(read_cells(path))
    try:
        execute(nb, path.parent)
    except CellTimeoutError:
        raise ValueError(f'{path.name}: a cell takes longer than {CELL_TIMEOUT} s') from None
    except (CellExecutionError, ValueError) as error:
        without_colours = re.sub(r'\x1b\[[\d;]*m', '', str(error))
        raise ValueError(f'{path.name}: {without_colours}') from None
    nbformat.validate(nb)
    text = nbformat.writes(nb).rstrip('\n') + '\n'
    path.with_suffix('.ipynb').write_text(text, 'utf-8', newline='\n')
    return nb


def main(numbers):
    """Make the notebooks of these lessons, and print a line for each. -> exit status"""
    try:
        for path in find_scripts(numbers):
            start = perf_counter()
            nb = make_notebook(path)
            size = path.with_suffix('.ipynb').stat().st_size
            print(f'{path.stem:24} {len(nb.cells):3} cells {perf_counter() - start:6.1f} s '
                  f'{size / 1000:6.0f} kB', flush=True)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
