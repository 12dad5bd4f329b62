"""What these pages have beyond Sphinx: live players, cards of the lessons, docstrings as text."""
import re
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import tinyfcn
from tinyfcn.course import tracing

LESSONS = Path(__file__).parents[1] / 'lessons'
# a line of a docstring that begins something of its own: "-> y", "x (N, C, H, W)", "flip: average"
ITEM = re.compile(r'-> |- |\w+(?:, \w+)* \([^)]*[A-Z*]|\w+(?:, \w+)*(?: [({][^)}]*[)}])?: ')


class Player(SphinxDirective):
    """A live player: its content is a call such as tracing.im2col([[1, 2], [3, 4]], [[1]])."""
    has_content = True

    def run(self):
        player = eval('\n'.join(self.content), dict(tinyfcn=tinyfcn, tracing=tracing))
        html = f'<div class="output text_html">{player._repr_html_()}</div>'
        return [nodes.raw('', html, format='html')]


class Lessons(SphinxDirective):
    """A card for each lesson: its first figure, its number and title, its question."""

    def run(self):
        cards = [lesson_card(path) for path in sorted(LESSONS.glob('l[0-9]*.ipynb'))]
        text = '::::{grid} 1 2 3 3\n:gutter: 3\n\n' + ''.join(cards) + '::::\n'
        return self.parse_text_to_nodes(text)


def lesson_card(path):
    """The card as MyST text."""
    cells = nbformat.read(path, as_version=4).cells
    title = re.match(r'# (.+)', cells[0].source)[1]
    question = re.search(r'\*\*([^*]+\?)\*\*', cells[0].source)[1].replace('\n', ' ')
    images = [address for cell in cells for address in images_of(cell)]
    if not images:
        raise ValueError(f'{path.name}: no image among its outputs; add a figure for its card')
    return (f':::{{grid-item-card}} {title}\n:link: /lessons/{path.stem}\n:link-type: doc\n\n'
            f'```{{raw}} html\n<img class="figure" alt="" src="{images[0]}">\n```\n'
            f'{question}\n:::\n')


def images_of(cell):
    """The addresses of the images that a cell shows, each with its data in it."""
    for output in cell.get('outputs', ()):
        data = output.get('data', {})
        if 'image/png' in data:
            yield 'data:image/png;base64,' + ''.join(data['image/png'].split())
        yield from re.findall(r'<img[^>]* src="(data:[^"]+)"', data.get('text/html', ''))


def docstring_to_rst(app, what, name, obj, options, lines):
    """Change the lines of a docstring, which is plain text, into reStructuredText in place."""
    # Sphinx takes the indentation of the whole of a module's text for a margin
    text = obj.__doc__ if what == 'module' else '\n'.join(lines)
    blocks = re.split(r'\n\s*\n', text.strip('\n'))
    lines[:] = '\n\n'.join(map(block_to_rst, blocks)).split('\n')


def block_to_rst(block):
    """Keep examples; what is indented is code; other lines are joined, but for a new ITEM."""
    if block.startswith('>>>'):
        return block
    text, *code = re.split(r'(?:^|\n)(?=    )', block, maxsplit=1)
    text = re.sub(r'([\\*|_])', r'\\\1', text)
    text = re.sub(r'`([^`]+)`', lambda code: '``' + code[1].replace('\\', '') + '``', text)
    items = [item.replace('\n', ' ') for item in re.split(rf'\n(?={ITEM.pattern})', text)]
    paragraph = '\n'.join(f'| {item}' for item in items) if len(items) > 1 else items[0]
    return paragraph + ''.join(f'\n\n.. code-block:: none\n\n{each}' for each in code)


def shorten_types(app, what, name, obj, options, *signature):
    """NDArray in place of what it stands for. -> arguments, return"""
    # Sphinx writes ~ before a name that is shown without its module
    array = re.compile(r'[~\w.]*ndarray\[tuple\[[~\w.]*Any, \.\.\.\], [~\w.]*dtype\[[~\w.]*\]\]')
    return tuple(text and array.sub('NDArray', text) for text in signature)


def describe_figures(app, doctree):
    """A figure without a description gets the title of its section, for those who cannot see it."""
    for image in doctree.findall(nodes.image):
        section = image.parent
        while section and not isinstance(section, nodes.section):
            section = section.parent
        if section and not image.get('alt'):
            image['alt'] = f'figure: {section[0].astext()}'


def prepare_page(app, page, template, context, doctree):
    """Tell the templates whether there is a JupyterLite site; mend the pages of source code."""
    context['lite_is_built'] = (Path(app.outdir) / 'lite/lab/index.html').exists()
    if page.startswith('_modules/'):
        # viewcode links back to the wrong name where a function is exported twice
        back = r'<a class="viewcode-back".*?</a>'
        context['body'] = re.sub(back, '', context['body'])


def setup(app):
    app.add_directive('player', Player)
    app.add_directive('lessons', Lessons)
    app.connect('autodoc-process-docstring', docstring_to_rst)
    app.connect('autodoc-process-signature', shorten_types)
    app.connect('doctree-read', describe_figures)
    app.connect('html-page-context', prepare_page)
    return dict(parallel_read_safe=True)
