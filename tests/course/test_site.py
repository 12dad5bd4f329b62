"""The course as pages, in a real browser: nothing breaks, nothing is fetched, players play."""
import os
import re
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from shutil import which
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

pytestmark = pytest.mark.browser

FOLDER = Path(__file__).parents[2] / 'lessons'
LESSONS = [path.stem for path in sorted(FOLDER.glob('l[0-9][0-9]_*.ipynb'))]
PAGES = ['index', 'glossary', 'benchmarks', *LESSONS]
each = pytest.mark.parametrize('name', PAGES)


def needed(found, what):
    if not found:
        assert not os.environ.get('CI'), f'{what} is not here: make test-more installs it'
        pytest.skip(f'{what} is not here: make test-more installs it')


@pytest.fixture(scope='module')
def maker():
    """lessons/site.py; by its path, for Python has a `site` of its own."""
    for tool in 'nbformat', 'mistune', 'pygments':
        needed(find_spec(tool), tool)
    sys.path.append(str(FOLDER))
    spec = spec_from_file_location('course_site', FOLDER / 'site.py')
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def site(maker, tmp_path_factory):
    return maker.build(tmp_path_factory.mktemp('pages') / 'site')


@pytest.fixture(scope='module')
def browser():
    needed(find_spec('playwright'), 'playwright')
    needed(which('chromium'), 'chromium')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which('chromium'),
                                             args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, site):
    """open_page(name): the page, which notes what goes wrong in it."""
    opened = []

    def open_page(name, scheme='light'):
        page = browser.new_page(viewport=dict(width=1200, height=800), color_scheme=scheme)
        opened.append(page)
        page.wrong = []
        page.on('pageerror', lambda error: page.wrong.append(str(error)))
        page.on('console', lambda said: said.type == 'error' and page.wrong.append(said.text))
        page.on('requestfailed', lambda asked: page.wrong.append(f'failed: {asked.url}'))
        page.on('request', lambda asked: local(asked.url) or page.wrong.append(asked.url))
        page.goto((site / f'{name}.html').as_uri())
        return page

    def local(url):
        return url.startswith((site.as_uri(), 'data:', 'about:', 'blob:'))

    yield open_page
    for page in opened:
        page.close()


@each
def test_a_page_opens_and_fetches_nothing(name, open_page, tmp_path):
    page = open_page(name)
    for wide, scheme in (1200, 'light'), (360, 'dark'):
        page.set_viewport_size(dict(width=wide, height=800))
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate('document.documentElement.scrollWidth') <= wide, 'it must not scroll'
        page.screenshot(path=tmp_path / f'{name}-{wide}.png')
    broken = page.eval_on_selector_all(
        'img', 'all => all.filter(i => !(i.complete && i.naturalWidth)).map(i => i.src)')
    assert broken == page.wrong == []


@each
def test_every_link_leads_somewhere(name, site):
    html = (site / f'{name}.html').read_text('utf-8')
    for url in re.findall(r'<a [^>]*?href="([^"]*)"', html):
        if urlsplit(url).scheme not in ('http', 'https'):
            file, part = urldefrag(url)
            target = site / unquote(file) if file else site / f'{name}.html'
            assert target.is_file(), url
            assert not part or f'id="{part}"' in target.read_text('utf-8'), url


def test_a_card_for_each_lesson(open_page):
    page = open_page('index')
    cards = page.locator('.card')
    assert [card.get_attribute('href') for card in cards.all()] == [f'{name}.html'
                                                                    for name in LESSONS]
    for card in cards.all():
        box = card.locator('.picture > *').first.bounding_box()
        assert box['width'] > 60 and box['height'] > 30, card.inner_text()
        assert card.locator('p').inner_text().endswith('?')
    cards.nth(3).click()
    assert page.url.endswith(f'{LESSONS[3]}.html')
    page.locator('.turn .next').click()
    assert page.url.endswith(f'{LESSONS[4]}.html')
    assert page.wrong == []


@pytest.mark.parametrize('name', LESSONS)
def test_players_step_and_answers_are_folded(name, open_page):
    page = open_page(name)
    frames = page.locator('iframe')
    assert frames.count()
    for i in range(frames.count()):
        frame = frames.nth(i)
        frame.scroll_into_view_if_needed()
        player = page.frame_locator('iframe').nth(i)
        shown, slider, said = (player.locator(what) for what in
                               ('[data-frame]', 'input[type=range]', '.caption'))
        first, last = said.inner_text(), slider.get_attribute('max')
        player.get_by_role('button', name='next').click()
        assert shown.get_attribute('data-frame') == '1' and said.inner_text() != first
        shown.press('ArrowLeft')
        assert shown.get_attribute('data-frame') == '0' and said.inner_text() == first
        slider.fill(last)
        assert shown.get_attribute('data-frame') == last
        assert frame.evaluate('f => f.contentDocument.documentElement.scrollHeight '
                              '- f.clientHeight') <= 1, 'it hides what is below'

    assert page.locator('details').count() >= 4 and page.locator('details[open]').count() == 0
    solution = page.locator('details:has(pre.code)').first
    assert not solution.locator('pre.code').is_visible()
    solution.locator('summary').click()
    assert solution.locator('pre.code').is_visible()
    assert page.wrong == []


BRIGHTNESS = """colour => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map(v => v / 255)
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4
  return .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b)
}"""


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_words_and_code_can_be_read(scheme, open_page):
    """Their contrast is at least 4.5 to 1, as WCAG asks."""
    page = open_page(LESSONS[3], scheme=scheme)
    found = page.evaluate(f"""() => {{
      const brightness = {BRIGHTNESS}, low = []
      const ground = e => {{
        const colour = getComputedStyle(e).backgroundColor
        return colour === 'rgba(0, 0, 0, 0)' ? ground(e.parentElement) : colour
      }}
      for (const e of document.querySelectorAll('main *, header a')) {{
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue
        const pair = [getComputedStyle(e).color, ground(e)].map(brightness).sort((a, b) => b - a)
        if ((pair[0] + .05) / (pair[1] + .05) < 4.5) low.push(`${{e.tagName}}: ${{e.textContent}}`)
      }}
      return [low, brightness(getComputedStyle(document.body).backgroundColor)]
    }}""")
    assert found[0] == []
    assert found[1] < .05 if scheme == 'dark' else found[1] > .8


# ---- how pages are made --------------------------------------------------------------------------

@pytest.mark.parametrize('tex, html', [
    ('y = M x', '<i>y</i> = <i>M</i> <i>x</i>'),
    ('w_{ij}^2', '<i>w</i><sub><i>ij</i></sub><sup>2</sup>'),
    (r'\sum_k x_k', 'Σ<sub><i>k</i></sub> <i>x</i><sub><i>k</i></sub>'),
    (r'\frac{a - b}{2}', '(<i>a</i> − <i>b</i>) / 2'),
    (r'\mathrm{loss} < 1', 'loss &lt; 1'),
])
def test_an_equation_is_text(tex, html, maker):
    assert maker.markdown(f'${tex}$') == f'<p><span class="math">{html}</span></p>\n'


def test_an_unknown_command_is_refused(maker):
    with pytest.raises(ValueError, match=r'\\oint in \$\\oint x\$ is not known; write it as text'):
        maker.markdown(r'so $\oint x$')
    assert maker.markdown(r'`$\oint$`') == '<p><code>$\\oint$</code></p>\n'


def test_links_between_notebooks_lead_between_pages(maker):
    assert maker.where('l03_im2col.ipynb#a') == 'l03_im2col.html#a'
    assert maker.where('glossary.md#stride') == 'glossary.html#stride'
    assert maker.where('../tests/test_site.py') is None
    assert maker.where('https://example.org/a.ipynb') == 'https://example.org/a.ipynb'
    with pytest.raises(ValueError, match='a link to l99_none.ipynb, which is nowhere'):
        maker.where('l99_none.ipynb')


def test_a_lesson_with_no_picture_is_refused(maker, tmp_path):
    nb = maker.nbformat.v4.new_notebook(cells=[
        maker.nbformat.v4.new_markdown_cell('# 98. Grey\n\n**Is there nothing to see?**')])
    maker.nbformat.write(nb, tmp_path / 'l98_grey.ipynb')
    with pytest.raises(ValueError, match='l98_grey.ipynb: no picture among its outputs'):
        maker.build(tmp_path / 'site', tmp_path)
