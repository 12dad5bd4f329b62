"""A report on the errors of a net: one page in HTML, which needs nothing from outside."""
import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics
from ..data.labels import by_output
from ..files import open_atomic, printable
from ..files.overwrite import MARK
from ..viz.data_uri import as_uri
from .analysis import ErrorAnalysis
from .report_sections import (
    CAUSE_NAMES,
    border_section,
    cause_section,
    class_section,
    confusion_section,
    image_section,
    score_section,
    size_section,
)

SUFFIXES = '.html', '.htm'
# nothing is loaded from outside, whatever a class or an image is called
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
# the mark by which `require_own` knows the file is within its first bytes
HEAD = f'''<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="{MARK}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
'''
SECTIONS = {
    'Scores': score_section, 'Where the errors come from': cause_section,
    'Near borders': border_section, 'Small and large objects': size_section,
    'Each class': class_section, 'Confusion matrix': confusion_section, 'Images': image_section}
# a click on the head of a column sorts its table: numbers from the largest on, text from A on
SORT = '''
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells]
  const value = (row, i) => {
    const text = row.cells[i].innerText.trim()
    const number = parseFloat(text)
    return text === '–' ? -1 : isNaN(number) ? text : number
  }
  heads.forEach((head, i) => head.addEventListener('click', () => {
    const body = table.tBodies[0]
    const rows = [...body.rows]
    const isText = rows.some(row => typeof value(row, i) === 'string')
    const up = head.ariaSort ? head.ariaSort === 'descending' : isText
    const compare = (a, b) => isText ? String(a).localeCompare(String(b)) : a - b
    rows.sort((a, b) => (up ? 1 : -1) * compare(value(a, i), value(b, i)))
    body.append(...rows)
    heads.forEach(other => other.ariaSort = null)
    head.ariaSort = up ? 'ascending' : 'descending'
  }))
}
'''


def write_report(path: str | PathLike[str], analyses: ErrorAnalysis | dict[str, ErrorAnalysis],
                 title: str = 'Evaluation', subtitle: str = '',
                 notes: Iterable[str] = ()) -> None:
    """Write a page about the errors of a net. An existing file is replaced.

    analyses: as of `analyse_errors`, also for several outputs. subtitle: a line below
    the title. notes: sentences above the numbers.

    >>> import tempfile
    >>> from tinyfcn.prediction import ErrorAnalysis
    >>> analysis = ErrorAnalysis(['sky', 'tree'])
    >>> label = np.eye(8, dtype='uint8')
    >>> analysis.add('one', np.zeros((8, 8, 3), 'uint8'), label, pred=0 * label)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(f'{folder}/report.html', analysis)
    """
    require_report_name(path)
    page = '\n'.join(page_lines(by_output(analyses), title, subtitle, notes))
    with open_atomic(path) as file:
        file.write(page.encode('utf-8', 'backslashreplace'))


def require_report_name(path: str | PathLike[str]) -> None:
    """Raise unless the name of a file ends as a page does."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(f'{printable(path)}: a report is a page; give the file the ending .html')


def page_lines(analyses: Mapping[str, ErrorAnalysis], title: str, subtitle: str,
               notes: Iterable[str]) -> Iterator[str]:
    """The page, piece by piece."""
    heading = escape(printable(title))
    css = Path(__file__).with_name('report.css').read_text('utf-8')
    yield f'{HEAD}<title>{heading}</title><style>\n{css}</style></head><body>'
    yield f'<header><h1>{heading}</h1><p class="about">{escape(printable(subtitle))}</p></header>'
    yield '<main>'
    for note in notes:
        yield f'<p class="note">{escape(printable(note, limit=None))}</p>'
    for output, analysis in analyses.items():
        anchors = {name: f'{output}-{name}'.replace(' ', '-').lower() for name in SECTIONS}
        if len(analyses) > 1:
            yield f'<h2 class="output">{escape(printable(output))}</h2>'
        links = [f'<a href="#{anchor}">{name}</a>' for name, anchor in anchors.items()]
        yield f'<nav>{"".join(links)}</nav>'
        for name, section in SECTIONS.items():
            yield f'<h2 id="{anchors[name]}">{name}</h2>'
            yield from section(analysis)
    numbers = {output: analysis_numbers(analysis) for output, analysis in analyses.items()}
    uri = as_uri('application/json', json.dumps(numbers, allow_nan=False).encode())
    yield (f'</main><footer class="faint"><a download="report.json" href="{uri}">All numbers of '
           f'this page, and of every image, as JSON</a>. Written by {MARK}.</footer>')
    yield f'<script>{SORT}</script></body></html>'


def analysis_numbers(analysis: ErrorAnalysis) -> dict[str, Any]:
    """All numbers of an analysis, as JSON has them: nan is None."""
    causes = {name: cause._asdict() for name, cause in zip(CAUSE_NAMES, analysis.causes())}
    numbers: dict[str, Any] = _plain(dict(
        classes=analysis.classes, scores=analysis.scores, strides=sorted(analysis.strides),
        small=analysis.small, border=analysis.border, void=analysis.void,
        confusion=analysis.confusion, ceiling=metrics.scores(analysis.ceiling), causes=causes,
        confusion_by_cause=dict(zip(CAUSE_NAMES, analysis.by_cause)),
        bands=[band._asdict() for band in analysis.bands()],
        sizes=dict(zip(('small', 'medium', 'large'),
                       (size._asdict() for size in analysis.sizes()))),
        images=[score._asdict() for score in analysis.images]))
    return numbers


def _plain(value: Any) -> Any:
    """Arrays as lists, nan as None; text with what is no UTF-8 escaped."""
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if isinstance(value, str):
        return printable(value, limit=None)
    return None if value != value else value.item() if isinstance(value, np.generic) else value
