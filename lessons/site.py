"""The course as pages that need nothing running: site/index.html.

    python lessons/site.py

From the notebooks as they are, README.md, glossary.md and what was measured. The pages fetch
nothing: no script, no font and no picture from elsewhere.
"""
import re
import shutil
import sys
from html import escape
from pathlib import Path

import nbformat
from markup import coloured, markdown, slug

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = ROOT / 'benchmarks'
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
<a href="benchmarks.html">Measured</a></nav></header>
<main>
{body}
</main>
</body>
</html>
"""
CARD = """<a class="card" href="{page}"><span class="picture">{picture}</span>
<span class="number">{number}</span>
<h2>{title}</h2>
<p>{question}</p></a>
"""


class Lesson:
    """A notebook: its cells, and the title and the question of the first."""

    def __init__(self, path):
        self.path, self.page = path, f'{path.stem}.html'
        self.cells = nbformat.read(path, as_version=4).cells
        first = self.cells[0].source
        title = re.match(r'# (\d\d)\. (.+)', first)
        question = re.search(r'\*\*([^*]+\?)\*\*', first)
        if not title or not question:
            raise ValueError(f'{path.name}: its first cell has no line "# 03. Title" or no '
                             f'question in bold')
        self.number, self.title = title.groups()
        self.question = markdown(question[1]).removeprefix('<p>').removesuffix('</p>\n')

    def outputs(self, kind):
        return [output.data[kind] for cell in self.cells for output in cell.get('outputs', [])
                if kind in output.get('data', {})]

    def picture(self):
        """Its first picture, for the card."""
        if found := self.outputs('image/png'):
            return png(found[0])
        for html in self.outputs('text/html'):
            if found := re.search('<svg.*?</svg>', html, re.S):
                return found.group()
        raise ValueError(f'{self.path.name}: no picture among its outputs; draw one')


def png(data):
    return f'<img src="data:image/png;base64,{"".join(data.split())}" alt="">'


def where(url):
    """Where a link of the notebooks leads on these pages; None for a file that has no page."""
    name, _, place = url.partition('#')
    if not name or re.match('https?:', name):
        return url
    if not (HERE / name).exists():
        raise ValueError(f'a link to {name}, which is nowhere')
    page = PAGES.get(name, re.sub(r'\.ipynb$', '.html', name))
    return f'{page}{place and "#" + place}' if page.endswith('.html') else None


def output(out):
    """What came of a cell."""
    if out.output_type == 'stream':
        return f'<pre class="text">{escape(out.text)}</pre>'
    if 'text/html' in out.data:
        return f'<div class="html">{out.data["text/html"]}</div>'
    if 'image/png' in out.data:
        return f'<div class="figure">{png(out.data["image/png"])}</div>'
    return f'<pre class="text">{escape(out.data["text/plain"])}</pre>'


def cell(found):
    """A cell and its outputs."""
    if found.cell_type == 'markdown':
        return f'<section>{markdown(found.source, where)}</section>'
    kind = 'cell exercise' if re.search(r'^check\(', found.source, re.M) else 'cell'
    return (f'<section class="{kind}">{coloured(found.source)}'
            f'{"".join(map(output, found.outputs))}</section>')


def turn(lesson, word):
    """The link to a neighbour, or its empty place."""
    return lesson and (f'<a class="{word}" href="{lesson.page}"><small>{word}</small>'
                       f'{lesson.number}. {escape(lesson.title)}</a>') or '<span></span>'


def lesson_page(lesson, before, after):
    body = '\n'.join(map(cell, lesson.cells))
    body = re.sub(r'<p><strong>(.+?)</strong></p>', r'<p class="question">\1</p>', body, count=1,
                  flags=re.S)
    return f"""<article>{body}</article>
<p class="how">This page is <code>lessons/{lesson.path.name}</code>. To change it and run it again:
<code>make lessons</code>.</p>
<nav class="turn">{turn(before, 'previous')}{turn(after, 'next')}</nav>"""


def index_page(lessons):
    """README, with cards in the place of its list."""
    before, _, rest = (HERE / 'README.md').read_text('utf-8').partition('## The lessons\n')
    after = rest[re.search(r'\n(?=## )|\Z', rest).end():]
    cards = ''.join(CARD.format(picture=lesson.picture(), **vars(lesson)) for lesson in lessons)
    return (f'<div class="intro">{markdown(before, where)}</div>\n<div class="cards">{cards}</div>'
            f'<div class="intro">{markdown(after, where)}</div>')


def glossary_page():
    """Each word can be linked to: glossary.html#stride."""
    html = markdown((HERE / 'glossary.md').read_text('utf-8'), where)
    html = re.sub(r'<li><strong>(.+?)</strong>',
                  lambda word: f'<li id="{slug(word[1])}"><strong>{word[1]}</strong>', html)
    return f'<div class="intro words">{html}</div>'


def build(site=ROOT / 'site', notebooks=HERE):
    """Writes all pages anew. -> the folder"""
    lessons = [Lesson(path) for path in sorted(notebooks.glob('l[0-9][0-9]_*.ipynb'))]
    shutil.rmtree(site, ignore_errors=True)
    for picture in (RESULTS / 'results').rglob('*.png'):
        copy = site / picture.relative_to(RESULTS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, copy)
    shutil.copy(HERE / 'site.css', site)

    def write(name, title, body):
        (site / name).write_text(PAGE.format(title=escape(title), body=body), 'utf-8')

    write('index.html', 'tinyfcn: the course', index_page(lessons))
    write('glossary.html', 'Glossary · tinyfcn', glossary_page())
    write('benchmarks.html', 'Measured · tinyfcn',
          f'<div class="tables">{markdown((RESULTS / "RESULTS.md").read_text("utf-8"))}</div>')
    for lesson, before, after in zip(lessons, [None, *lessons], [*lessons[1:], None]):
        try:
            body = lesson_page(lesson, before, after)
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
