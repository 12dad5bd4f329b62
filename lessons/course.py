"""The course: scripts in, executed notebooks out.

    python lessons/course.py            all of them
    python lessons/course.py 03 09      these two

A lesson is a script, with `# %%` above each cell; nothing else is edited. Its notebook is the same
cells and what came of them, less all that would change from one run to the next.
"""
import os
import re
import sys
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path
from time import perf_counter

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import v4
from PIL import Image

HERE = Path(__file__).parent
KINDS = {'# %%': 'code', '# %% [markdown]': 'markdown'}
KEPT = 'text/html', 'image/png', 'text/plain'           # of an output the first that it has
SECONDS = 120                                           # for a cell, before it is given up
ABOUT = dict(kernelspec=dict(name='python3', display_name='Python 3', language='python'),
             language_info=dict(name='python'))

# Runs before the first cell and is not kept: whatever leaves this machine is an error.
AT_HOME = """
def at_home(event, args):
    if event == 'socket.connect' and isinstance(args[1], tuple):
        host = args[1][0]
    elif event == 'socket.getaddrinfo':
        host = args[0]
    else:
        return
    if host not in (None, '', 'localhost', '127.0.0.1', '::1'):
        raise OSError(f'a lesson needs no network, and this one asks for {host}')


__import__('sys').addaudithook(at_home)
del at_home
"""


def lessons(numbers=()):
    """The scripts of these numbers, or all, in order. -> list of paths"""
    scripts = {path.name[1:3]: path for path in sorted(HERE.glob('l[0-9][0-9]_*.py'))}
    wanted = [number.removeprefix('l').zfill(2) for number in numbers] or scripts
    for number in wanted:
        if number not in scripts:
            raise ValueError(f'no lesson {number}; there are {", ".join(scripts) or "none yet"}')
    return [scripts[number] for number in wanted]


def read(path):
    """The cells of a script. -> list of ('code' or 'markdown', text)"""
    cells = []
    for i, line in enumerate(path.read_text('utf-8').splitlines(), 1):
        if line.startswith('# %%'):
            if line not in KINDS:
                raise ValueError(f'{path.name}, line {i}: {line!r} begins no cell; '
                                 f'{" and ".join(KINDS)} do')
            cells.append((KINDS[line], []))
        elif not cells:
            raise ValueError(f'{path.name}, line {i}: before the first cell; begin with # %%')
        elif cells[-1][0] == 'code':
            cells[-1][1].append(line)
        elif line and line != '#' and not line.startswith('# '):
            raise ValueError(f'{path.name}, line {i}: text without its "# "; put # %% above it '
                             f'if it is code')
        else:
            cells[-1][1].append(line[2:])
    return [(kind, '\n'.join(lines).strip('\n')) for kind, lines in cells]


def notebook(cells):
    """Cells, not executed yet. -> nbformat's notebook"""
    new = dict(code=v4.new_code_cell, markdown=v4.new_markdown_cell)
    return v4.new_notebook(metadata=ABOUT, cells=[
        new[kind](text, id=f'cell-{i:02}') for i, (kind, text) in enumerate(cells)])


def execute(nb, folder):
    """Runs all cells in this Python, in `folder`, with no network; its outputs, tidy. -> nb"""
    guarded = v4.new_notebook(metadata=ABOUT, cells=[v4.new_code_cell(AT_HOME), *nb.cells])
    client = NotebookClient(guarded, timeout=SECONDS, extra_arguments=['--log-level=ERROR'],
                            resources=dict(metadata=dict(path=str(folder))))
    # whatever kernels this machine knows besides, ours is the Python that runs this file
    client.create_kernel_manager().kernel_spec_manager.kernel_dirs = []
    # a set of words is printed in the same order every time
    client.execute(env={**os.environ, 'PYTHONHASHSEED': '0'})
    for cell in nb.cells:
        cell.metadata = {}
    for i, cell in enumerate((cell for cell in nb.cells if cell.cell_type == 'code'), 1):
        cell.execution_count, cell.outputs = i, tidy(cell.outputs, i)
    return nb


def tidy(outputs, count):
    """What is worth keeping of a cell's outputs: text, HTML, pictures. -> list"""
    kept = []
    for output in outputs:
        if output.get('name') == 'stderr':              # progress, which is of the moment
            if 'Warning' in output.text:
                raise ValueError(f'code cell {count} warns: {output.text}')
        elif output.output_type == 'stream':
            if kept and kept[-1].output_type == 'stream':
                kept[-1].text += output.text            # how it was cut in pieces is chance
            else:
                kept.append(v4.new_output('stream', name='stdout', text=output.text))
        else:
            kind = next((kind for kind in KEPT if kind in output.data), None)
            if kind is None:
                raise ValueError(f'code cell {count} shows {", ".join(output.data)}; a lesson '
                                 f'keeps {", ".join(KEPT)}')
            data = output.data[kind]
            output.data, output.metadata = {kind: small(data) if kind == 'image/png' else data}, {}
            if 'execution_count' in output:
                output.execution_count = count
            kept.append(output)
    for output in kept:
        text = output.get('text') or output.data.get('text/plain', '')
        if found := re.search(r'<[^<>]* at 0x[0-9a-f]+>', text):
            raise ValueError(f'code cell {count} shows {found.group()}, another one each time; '
                             f'end its last line with ;')
    return kept


def small(png):
    """A picture in 256 colours of its own: a third of the bytes, and hardly to be told apart."""
    with Image.open(BytesIO(b64decode(png))) as image:
        over = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image.convert('RGBA'))
    file = BytesIO()
    over.convert('RGB').quantize().save(file, 'png', optimize=True)
    return b64encode(file.getvalue()).decode()


def make(path):
    """Writes the notebook of a script beside it. -> nb"""
    nb = notebook(read(path))
    try:
        execute(nb, path.parent)
    except CellTimeoutError:
        raise ValueError(f'{path.name}: a cell takes longer than {SECONDS} s') from None
    except (CellExecutionError, ValueError) as error:
        said = re.sub(r'\x1b\[[\d;]*m', '', str(error))
        raise ValueError(f'{path.name}: {said}') from None
    nbformat.validate(nb)
    text = nbformat.writes(nb).rstrip('\n') + '\n'
    path.with_suffix('.ipynb').write_text(text, 'utf-8', newline='\n')
    return nb


def main(numbers):
    """A line for each lesson that is made. -> exit status"""
    try:
        for path in lessons(numbers):
            start = perf_counter()
            nb = make(path)
            print(f'{path.stem:24} {len(nb.cells):3} cells {perf_counter() - start:6.1f} s '
                  f'{path.with_suffix(".ipynb").stat().st_size / 1000:6.0f} kB', flush=True)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
