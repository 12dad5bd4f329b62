"""The pages of the course in a real browser: no errors, no requests, and the players work."""
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


def require(tool, is_installed):
    """Skip the test if a tool is missing; in CI that is a failure."""
    if not is_installed:
        message = f'{tool} is not installed: make test-more installs it'
        assert not os.environ.get('CI'), message
        pytest.skip(message)


@pytest.fixture(scope='module')
def site_module():
    """lessons/site.py, imported by its path, because `site` is also a standard module."""
    for tool in 'nbformat', 'mistune', 'pygments':
        require(tool, find_spec(tool))
    sys.path.append(str(FOLDER))
    spec = spec_from_file_location('course_site', FOLDER / 'site.py')
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def site(site_module, tmp_path_factory):
    return site_module.build(tmp_path_factory.mktemp('pages') / 'site')


@pytest.fixture(scope='module')
def browser():
    require('playwright', find_spec('playwright'))
    require('chromium', which('chromium'))
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which('chromium'),
                                             args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, site):
    """open_page(name): a page; page.problems collects its errors and its requests."""
    opened = []

    def open_page(name, scheme='light'):
        page = browser.new_page(viewport=dict(width=1200, height=800), color_scheme=scheme)
        opened.append(page)
        page.problems = []
        page.on('pageerror', lambda error: page.problems.append(str(error)))
        page.on('console', lambda message: message.type == 'error'
                and page.problems.append(message.text))
        page.on('requestfailed', lambda request: page.problems.append(f'failed: {request.url}'))
        page.on('request', lambda request: is_local(request.url)
                or page.problems.append(request.url))
        page.goto((site / f'{name}.html').as_uri())
        return page

    def is_local(url):
        return url.startswith((site.as_uri(), 'data:', 'about:', 'blob:'))

    yield open_page
    for page in opened:
        page.close()


@each
def test_a_page_opens_without_errors_or_requests(name, open_page, tmp_path):
    page = open_page(name)
    for wide, scheme in (1200, 'light'), (360, 'dark'):
        page.set_viewport_size(dict(width=wide, height=800))
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate('document.documentElement.scrollWidth') <= wide, 'it scrolls sideways'
        page.screenshot(path=tmp_path / f'{name}-{wide}.png')
    broken = page.eval_on_selector_all(
        'img', 'all => all.filter(i => !(i.complete && i.naturalWidth)).map(i => i.src)')
    assert broken == page.problems == []


@each
def test_every_link_has_a_target(name, site):
    html = (site / f'{name}.html').read_text('utf-8')
    for url in re.findall(r'<a [^>]*?href="([^"]*)"', html):
        if urlsplit(url).scheme not in ('http', 'https'):
            file, anchor = urldefrag(url)
            target = site / unquote(file) if file else site / f'{name}.html'
            assert target.is_file(), url
            assert not anchor or f'id="{anchor}"' in target.read_text('utf-8'), url


def test_the_index_has_a_card_for_each_lesson(open_page):
    page = open_page('index')
    cards = page.locator('.card')
    assert [card.get_attribute('href') for card in cards.all()] == [f'{name}.html'
                                                                    for name in LESSONS]
    for card in cards.all():
        box = card.locator('.preview > *').first.bounding_box()
        assert box['width'] > 60 and box['height'] > 30, card.inner_text()
        assert card.locator('p').inner_text().endswith('?')
        assert re.fullmatch(r'\d\d · \d+ minutes', card.locator('.number').inner_text())
    cards.nth(3).click()
    assert page.url.endswith(f'{LESSONS[3]}.html')
    page.locator('.pager .next').click()
    assert page.url.endswith(f'{LESSONS[4]}.html')
    assert page.problems == []


@pytest.mark.parametrize('name', LESSONS)
def test_players_step_and_solutions_are_folded(name, open_page):
    page = open_page(name)
    frames = page.locator('iframe')
    assert frames.count()
    for i in range(frames.count()):
        frames.nth(i).scroll_into_view_if_needed()
        player = page.frame_locator('iframe').nth(i)
        shown = player.locator('[data-frame]')
        slider = player.locator('input[type=range]')
        caption = player.locator('.caption')
        first_caption = caption.inner_text()
        last = slider.get_attribute('max')
        player.get_by_role('button', name='next').click()
        assert shown.get_attribute('data-frame') == '1'
        assert caption.inner_text() != first_caption
        shown.press('ArrowLeft')
        assert shown.get_attribute('data-frame') == '0'
        assert caption.inner_text() == first_caption
        slider.fill(last)
        assert shown.get_attribute('data-frame') == last
        # the frame follows its player's height; a player that is higher than the screen scrolls by
        # itself, and its bar stays in sight. If a frame cuts its player off, this times out
        page.wait_for_function('''i => {
            const frame = document.querySelectorAll('iframe')[i];
            return frame.contentDocument.documentElement.scrollHeight <= frame.clientHeight + 1
                || frame.clientHeight === innerHeight - 60;
        }''', arg=i, timeout=5000)

    assert page.locator('details').count() >= 4 and page.locator('details[open]').count() == 0
    assert page.locator('details.folded').count()
    solution = page.locator('details:not(.folded):has(pre.code)').first
    assert not solution.locator('pre.code').is_visible()
    solution.locator('summary').click()
    assert solution.locator('pre.code').is_visible()
    assert page.problems == []


BRIGHTNESS = """colour => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map(v => v / 255)
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4
  return .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b)
}"""


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_text_and_code_have_enough_contrast(scheme, open_page):
    """A contrast of at least 4.5 to 1, as WCAG requires."""
    page = open_page(LESSONS[3], scheme=scheme)
    low_contrast, page_brightness = page.evaluate(f"""() => {{
      const brightness = {BRIGHTNESS}
      const low = []
      const background = e => {{               // what is seen through a transparent colour, too
        const [r, g, b, a = 1] = getComputedStyle(e).backgroundColor.match(/[\\d.]+/g).map(Number)
        if (a === 1) return `rgb(${{[r, g, b]}})`
        const below = background(e.parentElement).match(/[\\d.]+/g)
        return `rgb(${{[r, g, b].map((v, i) => a * v + (1 - a) * below[i])}})`
      }}
      for (const e of document.querySelectorAll('main *, header a')) {{
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue
        const pair = [getComputedStyle(e).color, background(e)].map(brightness)
        pair.sort((a, b) => b - a)
        if ((pair[0] + .05) / (pair[1] + .05) < 4.5) low.push(`${{e.tagName}}: ${{e.textContent}}`)
      }}
      return [low, brightness(getComputedStyle(document.body).backgroundColor)]
    }}""")
    assert low_contrast == []
    assert page_brightness < .05 if scheme == 'dark' else page_brightness > .8


# ---- how pages are made --------------------------------------------------------------------------

@pytest.mark.parametrize('tex, html', [
    ('y = M x', '<i>y</i> = <i>M</i> <i>x</i>'),
    ('w_{ij}^2', '<i>w</i><sub><i>ij</i></sub><sup>2</sup>'),
    (r'\sum_k x_k', 'Σ<sub><i>k</i></sub> <i>x</i><sub><i>k</i></sub>'),
    (r'\frac{a - b}{2}', '(<i>a</i> − <i>b</i>) / 2'),
    (r'\mathrm{loss} < 1', 'loss &lt; 1'),
])
def test_an_equation_becomes_text(tex, html, site_module):
    assert site_module.markdown(f'${tex}$') == f'<p><span class="math">{html}</span></p>\n'


def test_an_unknown_tex_command_raises(site_module):
    with pytest.raises(ValueError, match=r'\\oint in \$\\oint x\$ is not known; write it as text'):
        site_module.markdown(r'so $\oint x$')
    assert site_module.markdown(r'`$\oint$`') == '<p><code>$\\oint$</code></p>\n'


def test_links_between_notebooks_become_links_between_pages(site_module):
    assert site_module.page_link('l03_im2col.ipynb#a') == 'l03_im2col.html#a'
    assert site_module.page_link('glossary.md#stride') == 'glossary.html#stride'
    assert site_module.page_link('../tests/course/test_site.py') is None
    assert site_module.page_link('https://example.org/a.ipynb') == 'https://example.org/a.ipynb'
    with pytest.raises(ValueError, match='a link to l99_none.ipynb, but there is no such file'):
        site_module.page_link('l99_none.ipynb')


def test_a_lesson_without_a_figure_raises(site_module, tmp_path):
    nb = site_module.nbformat.v4.new_notebook(cells=[
        site_module.nbformat.v4.new_markdown_cell('# 98. Grey\n\n**Is there a figure?**')])
    site_module.nbformat.write(nb, tmp_path / 'l98_grey.ipynb')
    with pytest.raises(ValueError, match='l98_grey.ipynb: no image among its outputs'):
        site_module.build(tmp_path / 'site', tmp_path)
