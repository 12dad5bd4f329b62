"""Build the course as static pages: site/index.html.

    python lessons/site.py

The pages are made from the notebooks as they are, README.md, glossary.md and the benchmark results.
They load nothing from elsewhere: no scripts, fonts or images.
"""
import re
import shutil
import sys
from html import escape
from pathlib import Path

import nbformat
from markup import highlight_code, markdown, slug

HERE = Path(__file__).parent
ROOT = HERE.parent
BENCHMARKS = ROOT / 'benchmarks'
PAGES = {'README.md': 'index.html', 'glossary.md': 'glossary.html',
         '../benchmarks/RESULTS.md': 'benchmarks.html'}

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="site.css">
</head>
<body>
<header><a class="home" href="index.html">tinyfcn</a>
<nav><a href="index.html">Lessons</a> <a href="glossary.html">Glossary</a>
<a href="benchmarks.html">Benchmarks</a></nav></header>
<main>
{body}
</main>
</body>
</html>
"""
CARD = """<a class="card" href="{page}"><span class="preview">{preview}</span>
<span class="number">{number}{minutes}</span>
<h2>{title}</h2>
<p>{question}</p></a>
"""


class Lesson:
    """A notebook: its cells, and the title and the question in the first cell."""

    def __init__(self, path):
        self.path = path
        self.page = f'{path.stem}.html'
        self.cells = nbformat.read(path, as_version=4).cells
        first = self.cells[0].source
        title = re.match(r'# (\d\d)\. (.+)', first)
        question = re.search(r'\*\*([^*]+\?)\*\*', first)
        if not title or not question:
            raise ValueError(f'{path.name}: its first cell has no line "# 03. Title" or no '
                             f'question in bold')
        self.number, self.title = title.groups()
        self.question = markdown(question[1]).removeprefix('<p>').removesuffix('</p>\n')
        minutes = re.search(r'^\*About (\d+) minutes', first, re.M)
        self.minutes = f' · {minutes[1]} minutes' if minutes else ''

    def outputs(self, mime):
        """The data of all outputs of this type."""
        return [output.data[mime] for cell in self.cells for output in cell.get('outputs', [])
                if mime in output.get('data', {})]

    def preview(self):
        """The first image among the outputs, for the card of the lesson."""
        if images := self.outputs('image/png'):
            return png_tag(images[0])
        for html in self.outputs('text/html'):
            if svg := re.search('<svg.*?</svg>', html, re.S):
                return svg.group()
        raise ValueError(f'{self.path.name}: no image among its outputs; add a figure')


def png_tag(data):
    """An <img> with the PNG (base64) in it."""
    return f'<img src="data:image/png;base64,{"".join(data.split())}" alt="">'


def page_link(url):
    """The link on these pages for a link in a notebook; None for a file that has no page."""
    name, _, anchor = url.partition('#')
    if not name or re.match('https?:', name):
        return url
    if not (HERE / name).exists():
        raise ValueError(f'a link to {name}, but there is no such file')
    page = PAGES.get(name, re.sub(r'\.ipynb$', '.html', name))
    if not page.endswith('.html'):
        return None
    return f'{page}#{anchor}' if anchor else page


def output_html(output):
    """The HTML of one output of a cell."""
    if output.output_type == 'stream':
        return f'<pre class="text">{escape(output.text)}</pre>'
    if 'text/html' in output.data:
        return f'<div class="html">{output.data["text/html"]}</div>'
    if 'image/png' in output.data:
        return f'<div class="figure">{png_tag(output.data["image/png"])}</div>'
    return f'<pre class="text">{escape(output.data["text/plain"])}</pre>'


def cell_html(cell):
    """The HTML of a cell and its outputs."""
    if cell.cell_type == 'markdown':
        return f'<section>{markdown(cell.source, page_link)}</section>'
    is_exercise = re.search(r'^check\(', cell.source, re.M)
    css_class = 'cell exercise' if is_exercise else 'cell'
    code = highlight_code(cell.source)
    if 'hide-input' in cell.metadata.get('tags', []):
        code = f'<details class="folded"><summary>{folded_title(cell)}</summary>{code}</details>'
    outputs = ''.join(output_html(output) for output in cell.outputs)
    return f'<section class="{css_class}">{code}{outputs}</section>'


def folded_title(cell):
    """What a folded cell does, in a word."""
    if cell.source.startswith(('import ', 'from ')):
        return 'Imports'
    return 'Code of the figure' if any('data' in output for output in cell.outputs) else 'Checks'


def neighbour_link(lesson, direction):
    """The link to the previous or the next lesson; an empty element if there is none."""
    if lesson is None:
        return '<span></span>'
    return (f'<a class="{direction}" href="{lesson.page}"><small>{direction}</small>'
            f'{lesson.number}. {escape(lesson.title)}</a>')


def lesson_page(lesson, previous, following):
    """The body of the page of a lesson."""
    body = '\n'.join(cell_html(cell) for cell in lesson.cells)
    body = re.sub(r'<p><strong>(.+?)</strong></p>', r'<p class="question">\1</p>', body, count=1,
                  flags=re.S)
    links = neighbour_link(previous, 'previous') + neighbour_link(following, 'next')
    return f"""<article>{body}</article>
<p class="source-note">This page is made from <code>lessons/{lesson.path.name}</code>. To run it
yourself: <code>make lessons</code>.</p>
<nav class="pager">{links}</nav>"""


def index_page(lessons):
    """README, with a card for each lesson in place of the list."""
    before, _, rest = (HERE / 'README.md').read_text('utf-8').partition('## The lessons\n')
    after = rest[re.search(r'\n(?=## )|\Z', rest).end():]
    cards = ''.join(CARD.format(preview=lesson.preview(), **vars(lesson)) for lesson in lessons)
    return (f'<div class="intro">{markdown(before, page_link)}</div>\n'
            f'<div class="cards">{cards}</div>'
            f'<div class="intro">{markdown(after, page_link)}</div>')


def glossary_page():
    """The glossary, with an id for each term, so that it can be linked: glossary.html#stride."""
    html = markdown((HERE / 'glossary.md').read_text('utf-8'), page_link)
    html = re.sub(r'<li><strong>(.+?)</strong>',
                  lambda term: f'<li id="{slug(term[1])}"><strong>{term[1]}</strong>', html)
    return f'<div class="intro words">{html}</div>'


def build(site=ROOT / 'site', notebooks=HERE):
    """Write all pages; what is in the folder is deleted first. -> the folder"""
    lessons = [Lesson(path) for path in sorted(notebooks.glob('l[0-9][0-9]_*.ipynb'))]
    shutil.rmtree(site, ignore_errors=True)
    for image in (BENCHMARKS / 'results').rglob('*.png'):
        copy = site / image.relative_to(BENCHMARKS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, copy)
    shutil.copy(HERE / 'site.css', site)

    def write(name, title, body):
        (site / name).write_text(PAGE.format(title=escape(title), body=body), 'utf-8')

    write('index.html', 'tinyfcn: the course', index_page(lessons))
    write('glossary.html', 'Glossary · tinyfcn', glossary_page())
    results = (BENCHMARKS / 'RESULTS.md').read_text('utf-8')
    write('benchmarks.html', 'Benchmarks · tinyfcn',
          f'<div class="tables">{markdown(results)}</div>')
    neighbours = zip(lessons, [None, *lessons], [*lessons[1:], None])
    for lesson, previous, following in neighbours:
        try:
            body = lesson_page(lesson, previous, following)
        except ValueError as error:
            raise ValueError(f'{lesson.path.name}: {error}') from None
        write(lesson.page, f'{lesson.number}. {lesson.title} · tinyfcn', body)
    return site


def main():
    try:
        print(build() / 'index.html')
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
