"""The page about the errors of a net: its numbers, and that it is one file without requests."""
import json
import re
from base64 import b64decode
from html.parser import HTMLParser

import numpy as np
import pytest
from test_analysis import CLASSES, labelled

from tinyfcn.files import require_own
from tinyfcn.prediction import ErrorAnalysis, write_report
from tinyfcn.prediction.report import analysis_numbers
from tinyfcn.prediction.report_sections import CAUSE_NAMES, PAIRS

EMPTY = {'meta', 'img', 'br'}                           # elements without an end
OPTIONAL_END = {'tr', 'td', 'th', 'tbody', 'thead'}     # whose end may be left out


class Page(HTMLParser):
    """The elements, ids and addresses of a page; its elements are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.addresses = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs['id']] if 'id' in attrs else []
        self.addresses += [attrs[name] for name in ('src', 'href') if name in attrs]
        if tag not in EMPTY | OPTIONAL_END:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in OPTIONAL_END:
            assert self.open.pop() == tag


def analyse(count=3, classes=CLASSES, stride=8):
    analysis = ErrorAnalysis(classes)
    for number in range(count):
        analysis.add(f'image {number}', *labelled(number), stride)
    return analysis


def write(path, *args):
    write_report(path, *args)
    return path.read_text('utf-8')


def numbers_of(text):
    """What the page offers as a download."""
    uri = re.search('href="data:application/json;base64,([^"]*)"', text).group(1)
    return json.loads(b64decode(uri))


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """An analysis, and the file of the page about it."""
    analysis = analyse(20)
    path = tmp_path_factory.mktemp('report') / 'page.html'
    write_report(path, analysis, 'Title', 'below it', ['A note.'])
    return analysis, path


def test_the_page_is_one_file_without_requests(written):
    page = Page(written[1].read_text('utf-8'))
    assert len(page.ids) == len({*page.ids}) == 7
    for address in page.addresses:
        assert address.startswith(('data:image/png;', 'data:image/jpeg;', 'data:application/json',
                                   '#')), address[:60]
        assert address[0] != '#' or address[1:] in page.ids


def test_the_page_has_the_numbers_of_the_analysis(written):
    analysis, path = written
    text = path.read_text('utf-8')
    numbers = numbers_of(text)['score']
    assert numbers == json.loads(json.dumps(analysis_numbers(analysis)))
    assert numbers['confusion'] == analysis.confusion.tolist()
    assert numbers['scores']['mean_iu'] == analysis.scores['mean_iu']
    assert numbers['scores']['iu'][3] is None           # a class that is nowhere
    assert [*numbers['causes']] == [*CAUSE_NAMES]
    for cause in analysis.causes():
        assert f'<td>{cause.pixels:,}<td>{100 * cause.share:.1f} %' in text
    for name in 'mean_iu', 'pixel_acc', 'mean_acc', 'fw_iu':
        assert f'<strong>{100 * analysis.scores[name]:.1f}</strong>' in text
    for words in '<h1>Title</h1>', 'below it', 'A note.', '<h3>The worst</h3>', '<h3>The best</h3>':
        assert words in text
    assert len(analysis.pairs()) < PAIRS and 'other pair' not in text


def test_a_report_is_known_as_its_own(written, tmp_path):
    require_own(written[1])
    by_hand = tmp_path / 'by_hand.html'
    by_hand.write_text('<!doctype html><title>tinyfcn</title>')
    with pytest.raises(ValueError, match='not written by tinyfcn'):
        require_own(by_hand)
    with pytest.raises(ValueError, match='page.pdf: a report is a page; give .* the ending .html'):
        write_report(tmp_path / 'page.pdf', written[0])


def test_what_is_not_in_a_table_is_said(tmp_path):
    """Pairs beyond the first ones, and a class that is never predicted."""
    analysis = ErrorAnalysis([f'class {i}' for i in range(7)])
    label, pred = np.random.default_rng(2).integers(0, 7, (2, 50, 60)).astype('uint8')
    analysis.add('noise', np.zeros((50, 60, 3), 'uint8'), label, pred % 6)
    text = write(tmp_path / 'page.html', analysis)
    rest = analysis.pairs()[PAIRS:]
    assert f'{len(rest)} other pairs<td><td>{sum(pair.pixels for pair in rest):,}<td>' in text
    assert 'Never predicted: class 6.' in text


def test_several_outputs_have_their_own_sections(tmp_path):
    """One of them without a coarse grid, and one without any pixel."""
    analyses = dict(score_sem=analyse(1, ['a', 'b', 'c'], stride=1), score_geo=ErrorAnalysis('ab'))
    text = write(tmp_path / 'page.html', analyses)
    page = Page(text)
    assert len(page.ids) == len({*page.ids}) == 14
    assert [*numbers_of(text)] == ['score_sem', 'score_geo']
    assert 'this net computes a score for every pixel' in text
    assert 'nan' not in re.sub('base64,[^"]*', '', text)


def test_names_are_shown_as_text(tmp_path):
    classes = ['<script>alert(1)</script>', 'b"onload="x', '車\x1b[2J', 'x' * 10_000]
    text = write(tmp_path / 'page.html', analyse(1, classes), '<b>', '<i>', ['<u>'])
    page = re.sub('base64,[^"]*', '', text)
    assert Page(text) and '\x1b' not in page and 'x' * 100 not in page
    for tag in '<script>alert', '<b>', '<i>', '<u>', '"onload':
        assert tag not in page.partition('</style>')[2], tag
