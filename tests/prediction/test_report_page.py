"""The page about the errors of a net in a real browser: no errors, no requests, and it sorts."""
import json

import pytest
from test_analysis import CLASSES, labelled

from tinyfcn.prediction import ErrorAnalysis, write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope='module')
def analysis():
    analysis = ErrorAnalysis(CLASSES)
    for number in range(15):
        analysis.add(f'image {number}', *labelled(number), stride=8)
    return analysis


@pytest.fixture
def page(analysis, browser, tmp_path):
    """The page, opened; page.problems collects its errors and its requests."""
    path = tmp_path / 'page.html'
    write_report(path, analysis, 'runs/my')
    page = browser.new_page()
    page.problems = []
    page.on('pageerror', lambda error: page.problems.append(str(error)))
    page.on('console', lambda message: page.problems.append(message.text))
    page.on('request', lambda request: request.url.startswith(('data:', path.as_uri()))
            or page.problems.append(request.url))
    page.goto(path.as_uri())
    yield page
    page.close()


def test_a_report_opens_without_errors_or_requests(page, analysis, tmp_path):
    for width in 1200, 360:
        page.set_viewport_size(dict(width=width, height=800))
        assert page.evaluate('document.documentElement.scrollWidth') <= width, 'scrolls sideways'
    for image in page.locator('img').all():
        assert image.evaluate('i => i.decode().then(() => i.naturalWidth)') > 10
    assert page.locator('.row img').count() == 4 * 12
    shares = page.locator('table.causes tbody tr:not(.sum) td:nth-child(3)').all_inner_texts()
    assert sum(float(share.rstrip(' %')) for share in shares if share) == pytest.approx(100, abs=.2)

    page.locator('table.sortable th', has_text='IU').click()
    column = page.locator('table.sortable tbody td:nth-child(3)').all_inner_texts()
    values = [float(text) for text in column if text != '–']
    assert values == sorted(values, reverse=True) and len(values) == 3 and column[-1] == '–'
    page.locator('table.sortable th', has_text='IU').click()
    column = page.locator('table.sortable tbody td:nth-child(3)').all_inner_texts()
    assert column == ['–', *(f'{value:.1f}' for value in values[::-1])]

    with page.expect_download() as download:
        page.locator('a[download]').click()
    numbers = json.loads(download.value.path().read_text('utf-8'))
    assert numbers['score']['confusion'] == analysis.confusion.tolist()
    assert page.problems == []
