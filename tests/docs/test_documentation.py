"""The pages that `make docs` builds: complete, linked, readable, and without outside requests."""
import subprocess
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from chromium import require
from test_examples import PUBLIC, public_functions

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[2]
LESSONS = [path.stem for path in sorted((ROOT / 'lessons').glob('l[0-9][0-9]_*.ipynb'))]
# a page of each kind, for what takes long
SAMPLE = ['docs/index', 'docs/course', 'lessons/l03_im2col', 'docs/api/tinyfcn.ops', 'docs/faq',
          'benchmarks/STAGING']
PHONE = dict(width=390, height=844)
DESKTOP = dict(width=1280, height=900)


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """The folder of the pages, built beside a JupyterLite site; a warning of Sphinx is an error."""
    for tool in 'sphinx', 'myst_nb', 'pydata_sphinx_theme', 'sphinx_copybutton', 'sphinx_design':
        require(tool, find_spec(tool))
    folder = tmp_path_factory.mktemp('docs') / 'site'
    (folder / 'lite/lab').mkdir(parents=True)
    (folder / 'lite/lab/index.html').touch()
    command = [sys.executable, '-m', 'sphinx', '-q', '--fail-on-warning', '--keep-going',
               '-d', folder.parent / 'doctrees', '-c', 'docs', '.', folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return folder


def pages_of(site):
    return [path for path in sorted(site.rglob('*.html'))
            if not {'lite', '_static'} & {*path.relative_to(site).parts}]


@cache
def parse(path):
    from bs4 import BeautifulSoup
    return BeautifulSoup(path.read_text('utf-8'), 'html.parser')


@cache
def ids_of(path):
    return {tag['id'] for tag in parse(path).find_all(id=True)}


# ---- Without a browser ---------------------------------------------------------------------------

def test_every_link_has_a_target(site):
    broken = []
    for path in pages_of(site):
        for tag in parse(path).find_all('a', href=True):
            url, anchor = urldefrag(tag['href'])
            if urlsplit(url).scheme in ('http', 'https') or tag['href'] == '#':
                continue
            target = path.parent / unquote(urlsplit(url).path) if url else path
            if not target.is_file() or anchor and anchor not in ids_of(target.resolve()):
                broken.append(f'{path.relative_to(site)}: {tag["href"]}')
    assert len(pages_of(site)) > 60 and broken == []


def test_every_image_has_a_description(site):
    """alt="" is for images beside a text that says the same, on a card or as a title."""
    for path in pages_of(site):
        for image in parse(path).find_all('img'):
            where = f'{path.relative_to(site)}: {str(image)[:200]}'
            assert 'alt' in image.attrs and not image['alt'].endswith('.png'), where
            beside = image.find_parent(class_='sd-card') or image.find_parent('td')
            assert image['alt'] or beside and beside.get_text(strip=True), where


def test_every_public_function_is_in_the_reference(site):
    documented = {identifier for path in (site / 'docs/api').glob('*.html')
                  for identifier in ids_of(path)}
    functions = {name for module in PUBLIC for name, _ in public_functions(module)}
    assert len(functions) > 50 and functions <= documented
    ops = parse(site / 'docs/api/tinyfcn.ops.html')
    assert 'ndarray[' not in ops.get_text() and 'NDArray' in ops.get_text()
    examples = ops.find_all(class_='highlight-default')
    assert len(examples) >= len(import_module('tinyfcn.ops').__all__)


def test_lessons_have_their_cards_and_can_be_run(site):
    cards = parse(site / 'docs/course.html').select('.sd-card')
    assert [card.select_one('a.sd-stretched-link')['href'] for card in cards] == [
        f'../lessons/{name}.html' for name in LESSONS]
    for card in cards:
        assert card.img and card.select('.sd-card-text')[-1].get_text().endswith('?')
    for name in LESSONS:
        link = parse(site / f'lessons/{name}.html').select_one('a.run-lesson')
        assert link['href'] == f'../lite/lab/index.html?path={name}.ipynb'


def test_all_questions_are_answered_with_a_link(site):
    answers = parse(site / 'docs/faq.html').select('section section section')
    assert len(answers) == 25
    for answer in answers:
        assert answer.select('p a'), answer.get_text()


# ---- In a browser --------------------------------------------------------------------------------

@pytest.fixture
def new_page(browser, site):
    """new_page(scheme, **size): a page; page.problems has its errors and its outside requests."""
    opened = []

    def new_page(scheme='light', size=DESKTOP):
        page = browser.new_page(viewport=size, color_scheme=scheme)
        opened.append(page)
        page.problems = []
        page.add_init_script('localStorage.setItem("mode", "auto")')
        page.on('pageerror', lambda error: page.problems.append(str(error)))
        page.on('console', lambda message: message.type == 'error'
                and page.problems.append(message.text))
        page.on('requestfailed', lambda request: page.problems.append(f'failed: {request.url}'))
        page.on('request', lambda request: is_local(request.url)
                or page.problems.append(request.url))
        return page

    def is_local(url):
        return url.startswith((site.as_uri(), 'data:', 'about:', 'blob:'))

    yield new_page
    for page in opened:
        page.close()


def test_pages_open_on_a_phone_without_outside_requests(new_page, site):
    page = new_page('dark', PHONE)
    pages = [path for path in pages_of(site) if path.parent != site or path.stem != 'index']
    # site/index.html only leads to docs/index.html
    sources = [path for path in pages if '_modules' in path.parts]
    for path in [path for path in pages if path not in sources[5:]]:        # all sources are alike
        page.goto(path.as_uri())
        name = path.relative_to(site)
        assert page.evaluate('document.documentElement.scrollWidth') <= PHONE['width'], name
        broken = page.eval_on_selector_all(
            'img', 'all => all.filter(i => i.complete && !i.naturalWidth).map(i => i.src)')
        assert broken == page.problems == [], name


CONTRAST = """() => {
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number)
  const brightness = ([r, g, b]) =>
    .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255)
  const background = e => {             // what is seen through a transparent colour, too
    if (!e) return [255, 255, 255]
    const [r, g, b, a = 1] = numbers(getComputedStyle(e).backgroundColor)
    if (a === 1) return [r, g, b]
    const below = background(e.parentElement)
    return [r, g, b].map((v, i) => a * v + (1 - a) * below[i])
  }
  const low = []
  for (const e of document.querySelectorAll('body *')) {
    const text = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
    if (!text || !e.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue
    const pair = [numbers(getComputedStyle(e).color), background(e)].map(brightness)
    pair.sort((a, b) => b - a)
    if ((pair[0] + .05) / (pair[1] + .05) < 4.5)
      low.push(`${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 40)}`)
  }
  return low
}"""


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_text_has_enough_contrast(scheme, new_page, site):
    """At least 4.5 to 1, as WCAG requires."""
    page = new_page(scheme)
    for name in SAMPLE:
        page.goto((site / f'{name}.html').as_uri())
        assert page.evaluate('document.documentElement.dataset.theme') == scheme
        assert page.evaluate(CONTRAST) == [], name


@pytest.mark.parametrize('name', ['docs/index', 'docs/alignment',
                                  *(f'lessons/{name}' for name in LESSONS)])
def test_players_step_and_code_is_folded(name, new_page, site):
    page = new_page()
    page.goto((site / f'{name}.html').as_uri())
    frames = page.locator('iframe')
    assert frames.count()
    for i in range(frames.count()):
        frames.nth(i).scroll_into_view_if_needed()
        player = page.frame_locator('iframe').nth(i)
        shown = player.locator('[data-frame]')
        caption = player.locator('.caption')
        first_caption = caption.inner_text()
        player.get_by_role('button', name='next').click()
        assert shown.get_attribute('data-frame') == '1'
        assert caption.inner_text() != first_caption
    assert page.locator('details[open]').count() == 0
    assert page.problems == []


def test_search_works_without_a_server(new_page, site):
    page = new_page()
    page.goto(f'{(site / "search.html").as_uri()}?q=im2col')
    page.wait_for_selector('#search-results li a', timeout=20_000)
    found = page.eval_on_selector_all('#search-results li a', 'all => all.map(a => a.href)')
    assert any('l03_im2col.html' in href for href in found)
    assert page.problems == []


def test_the_keyboard_reaches_the_navigation_and_a_player(new_page, site):
    page = new_page()
    page.goto((site / 'docs/index.html').as_uri())
    page.frame_locator('iframe').first.locator('[data-frame]').wait_for()
    reached = set()
    for _ in range(40):
        page.keyboard.press('Tab')
        reached.add(page.evaluate('document.activeElement.tagName + " "'
                                  ' + document.activeElement.textContent.trim()'))
    assert {'A Course', 'A API reference'} <= reached
    assert any(each.startswith('IFRAME') for each in reached)
