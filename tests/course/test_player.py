"""The player: its states, its page, its animated GIF; and, in Chromium, how it plays."""
import html
import json
import os
import re
from importlib.util import find_spec
from shutil import which

import numpy as np
import pytest
from PIL import Image

from tinyfcn import build, ops
from tinyfcn.course import tracing
from tinyfcn.course.player import Player, format_number

X = np.array([[1, 2, 0, 4], [3, -1, 2, 1], [0, 5, 1, 2], [2, 3, 4, 0]])
W = np.array([[1, 0], [-2, .5]])


def players():
    """One of every tracing function."""
    net = build('fcn16s', width=1/64, seed=None)
    rng = np.random.default_rng(0)
    return {
        'convolution': tracing.convolution(X, W, stride=2, pad=1),
        'two channels': tracing.convolution(np.stack([X, -X]) / 3, np.stack([W, W])),
        'im2col': tracing.im2col(X, W, pad=1),
        'matrix': tracing.matrix(X, W),
        'backward': tracing.backward(X, W, X[:3, :3]),
        'col2im': tracing.col2im(ops.im2col(X[None, None] * 1., 2)[0][0], (4, 4), 2),
        'max_pool': tracing.max_pool(X, 2),
        'scatter': tracing.scatter(X[:3, :3], W, 2, 1),
        'zero_insert': tracing.zero_insert(X[:3, :3], W, 2),
        'transposed_matrix': tracing.transposed_matrix(X[:2, :2], W, 2),
        'bilinear': tracing.bilinear([1, 3, 2], 2),
        'confusion': tracing.confusion(rng.choice([0, 1, 255], (3, 4)),
                                       rng.integers(0, 2, (3, 4)), 2),
        'avg_pool_to': tracing.avg_pool_to(X, 3),
        'paths': tracing.paths([1, 2, 4]),
        'mean_field': tracing.mean_field([[[.9, .4]], [[.1, .6]]], np.full((1, 2, 3), 9, 'uint8'),
                                         dict(w1=1, alpha=1, beta=9, w2=1, gamma=1)),
        'fusion': tracing.fusion(net, (64, 96), 'pool4', 'upscore2', 'score_pool4c'),
        'receptive_field': tracing.receptive_field(net, 'pool1', 'pool4', 'pool5', size=(64, 96)),
    }


PLAYERS = players()
each = pytest.mark.parametrize('name', PLAYERS)


def two_cells(**changes):
    """A player with two cells and two frames; changes are of its trace."""
    grid = dict(name='x', title='x', values=[[1.5, None]], row=0)
    frames = [dict(caption='first', set={}, highlight={'x': [[0, 0]]}),
              dict(caption='then', set={'x': [[0, 1, 7.]]}, highlight={'x': [[0, 1]]})]
    trace = dict(kind='grid', title='two cells', grids=[grid], frames=frames)
    return Player({**trace, **changes})


def test_every_function_of_tracing_is_here():
    assert {*tracing.__all__} <= {*PLAYERS}


# ---- its states ---------------------------------------------------------------------------------

def test_values_that_a_frame_sets_remain():
    player = two_cells()
    assert len(player) == 2
    assert player[0] == {'x': [[1.5, None]]}
    assert player[1] == player[-1] == {'x': [[1.5, 7.]]}
    assert player[0] == {'x': [[1.5, None]]}, 'a later frame does not change an earlier one'
    with pytest.raises(IndexError):
        player[2]
    assert repr(player) == '<Player of 2 frames: two cells>'


@each
def test_the_trace_is_plain_data(name):
    player = PLAYERS[name]
    assert json.loads(json.dumps(player.trace, allow_nan=False)) == player.trace
    assert all(frame['caption'] for frame in player.trace['frames'])


@pytest.mark.parametrize('value, text', [
    (None, ''), (7., '7'), (-3, '−3'), (0., '0'), (-0., '0'), (1234567., '1234567'), (1e9, '1e9'),
    (1/3, '0.333'), (-2/3, '−0.667'), (1230.5, '1230'), (99.96, '100'), (.00012, '0.00012'),
    (-1.234e-7, '−1.23e−7'), (float('inf'), '∞'), (float('-inf'), '−∞'), (float('nan'), 'nan'),
    ('already', 'already')])
def test_numbers_are_short(value, text):
    assert format_number(value) == text


# ---- its page -----------------------------------------------------------------------------------

@each
def test_a_page_loads_nothing(name):
    page = PLAYERS[name].page()
    urls = set(re.findall(r'https?://[^\s\'")]+', page)) - {'http://www.w3.org/2000/svg'}
    assert not urls and 'import' not in page and '@font-face' not in page
    assert page.startswith('<!doctype html>') and page.count('</script>') == 1
    assert len(PLAYERS[name]._repr_html_()) < 40_000


def test_titles_and_captions_are_escaped():
    script = '</script><b title="\'">&amp;'
    player = two_cells(title=script)
    player.trace['frames'][0]['caption'] = script
    page = player.page()
    assert page.count('</script>') == 1 and '<b ' not in page
    assert f'<title>{html.escape(script)}</title>' in page
    embedded = player._repr_html_()
    assert embedded.count('<iframe') == embedded.count('</iframe>') == 1
    (srcdoc,) = re.findall(r"srcdoc='([^']*)'", embedded)
    assert html.unescape(srcdoc) == page


@pytest.mark.parametrize('text', [
    'a\nb\u2028c\x85', '\x1b[2J\x00', '\ud800', '\u202egnp', 5000 * 'x'])
def test_titles_and_captions_of_any_characters_are_shown(tmp_path, text):
    player = two_cells(title=text)
    player.trace['frames'][0]['caption'] = text
    assert repr(player).isprintable()
    assert player.page().replace('\n', '').isprintable()
    player.save(tmp_path / 'two.html')
    player.save(tmp_path / 'two.gif')


def test_a_player_is_saved_as_a_page_or_as_a_gif(tmp_path):
    two_cells().save(tmp_path / 'two.html')
    assert (tmp_path / 'two.html').read_text('utf-8') == two_cells().page()
    two_cells().save(str(tmp_path / 'two.gif'))
    with pytest.raises(ValueError, match=r'two\.mp4: a player is saved as \.html or \.gif'):
        two_cells().save(tmp_path / 'two.mp4')


@each
def test_the_gif_has_every_frame(name, tmp_path):
    path = tmp_path / 'a.gif'
    player = PLAYERS[name]
    player.save(path)
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert image.n_frames == len(player)
        assert image.info['loop'] == 0
        frames = set()
        for n in range(len(player)):
            image.seek(n)
            frames.add(image.convert('RGB').tobytes())
        assert len(frames) == len(player), 'no two frames look the same'


def test_the_gif_colours_what_is_read_and_what_is_written(tmp_path):
    two_cells().save(tmp_path / 'a.gif')
    amber = 255, 229, 184
    blue = 207, 228, 252

    def count_pixels(image, colour):
        """Of nearly this colour: the palette has only 64."""
        colours = image.convert('RGB').getcolors(1 << 16)
        return sum(count for count, other in colours
                   if max(map(abs, np.subtract(other, colour))) < 9)

    with Image.open(tmp_path / 'a.gif') as image:
        for n, colour, other in (0, amber, blue), (1, blue, amber):
            image.seek(n)
            assert count_pixels(image, colour) > 500 > count_pixels(image, other)


# ---- in a browser -------------------------------------------------------------------------------

def require(tool, name, command):
    """Skip the test if a tool is missing; in CI, fail."""
    if not tool:
        assert not os.environ.get('CI'), f'{name} is not installed: {command}'
        pytest.skip(f'{name} is not installed: {command}')


@pytest.fixture(scope='module')
def page():
    require(find_spec('playwright'), 'playwright', 'pip install playwright')
    require(which('chromium'), 'chromium', 'apt-get install chromium')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which('chromium'),
                                             args=['--no-sandbox'])
        page = browser.new_page()
        page.set_default_timeout(10_000)
        yield page
        browser.close()


@pytest.fixture
def show(page, tmp_path):
    """show(text) opens it as a page from disk; errors and requests there fail the test at its end.
    """
    path = tmp_path / 'page.html'
    allowed = path.as_uri(), 'data:,', 'about:srcdoc'
    problems = []

    def on_request(request):
        if request.url not in allowed:
            problems.append(request.url)

    listeners = {
        'pageerror': lambda error: problems.append(str(error)),
        'console': lambda message: problems.append(message.text),
        'requestfailed': lambda request: problems.append(f'failed: {request.url}'),
        'request': on_request,
    }

    def show(text, wide=900, scheme='light'):
        path.write_text(text, 'utf-8')
        page.set_viewport_size(dict(width=wide, height=700))
        page.emulate_media(color_scheme=scheme)
        page.goto(path.as_uri())
        return page

    for event, listener in listeners.items():
        page.on(event, listener)
    yield show
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    assert problems == []


PAGE_STATE = """() => {
    const all = selector => [...document.querySelectorAll(selector)], main = all('main')[0]
    return {
        frame: [main.dataset.frame, main.querySelector('output').textContent,
                main.querySelector('input').value],
        caption: main.querySelector('.caption').textContent,
        cells: Object.fromEntries(all('figure').map(figure => [
            figure.querySelector('figcaption').textContent,
            [...figure.querySelectorAll('text')].map(text => text.textContent)])),
        highlighted: all('g.highlight, g.written, circle').length, spans: all('.span').length,
    }
}"""


def assert_shows(page, player, n):
    """The page shows frame n: cells, highlights, caption, counter and slider."""
    frame = player.trace['frames'][n]
    state = page.evaluate(PAGE_STATE)
    assert state['frame'] == [str(n), f'{n + 1} / {len(player)}', str(n)]
    assert state['caption'] == frame['caption']
    assert state['highlighted'] == sum(len({*map(str, cells)})
                                       for cells in frame['highlight'].values())
    assert state['spans'] == len(frame.get('spans', ()))
    cells = {}
    for grid in player.trace.get('grids', ()):
        values = player[n][grid['name']]
        cells[grid['title']] = [format_number(value) for row in values for value in row]
    assert state['cells'] == cells


@pytest.mark.browser
@pytest.mark.parametrize('name', ['im2col', 'fusion'])
def test_every_button_key_and_the_slider(name, show):
    player = PLAYERS[name]
    page = show(player.page())
    last = len(player) - 1
    first, previous, next_ = (page.get_by_role('button', name=label)
                              for label in ('first', 'previous', 'next'))
    assert_shows(page, player, 0)
    previous.click(force=True)                              # it is aria-disabled
    assert_shows(page, player, 0)
    next_.click()
    next_.click()
    assert_shows(page, player, 2)
    previous.click()
    assert_shows(page, player, 1)
    page.locator('input').fill(str(last))
    assert_shows(page, player, last)
    next_.click(force=True)
    assert_shows(page, player, last)
    first.click()
    assert_shows(page, player, 0)
    for key, n in ('ArrowRight', 1), ('End', last), ('ArrowLeft', last - 1), ('Home', 0):
        page.keyboard.press(key)
        assert_shows(page, player, n)


@pytest.mark.browser
@each
def test_each_plays_and_nothing_is_cut_off_on_a_narrow_page(name, show):
    player = PLAYERS[name]
    page = show(player.page(), wide=320)
    assert_shows(page, player, 0)
    page.get_by_role('button', name='next').click()
    assert_shows(page, player, 1)
    page.keyboard.press('End')
    assert_shows(page, player, len(player) - 1)
    assert page.evaluate('document.documentElement.scrollWidth') <= 320
    # a grid that is too wide scrolls by itself, and its highlighted cells are visible
    assert page.evaluate("""() => [...document.querySelectorAll('figure, .bar *, .alignment text')]
        .every(e => e.getBoundingClientRect().right <= 320)""")
    assert page.evaluate("""() => [...document.querySelectorAll('figure')].every(figure => {
        const { left, right } = figure.getBoundingClientRect()
        const cells = [...figure.querySelectorAll('g.highlight, g.written')].map(
            cell => cell.getBoundingClientRect())
        return !cells.length
            || cells.some(cell => cell.left >= left - 1 && cell.right <= right + 1)
    })""")
    letters = page.evaluate("""() => [...document.querySelectorAll('.grid')].map(
        svg => 13.5 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)""")
    assert all(size > 10 for size in letters), 'letters of at least 10 pixels'


@pytest.mark.browser
def test_play_runs_to_the_end_and_stops(show):
    player = tracing.bilinear([1, 3, 2], 2)
    page = show(player.page())
    page.get_by_role('button', name='play').click()
    page.locator('[data-frame="2"]').wait_for()
    page.get_by_role('button', name='play').wait_for()      # it was `pause` while playing
    assert_shows(page, player, 2)


@pytest.mark.browser
def test_play_starts_again_after_the_end_and_pauses(show):
    player = PLAYERS['im2col']
    page = show(player.page())
    last = len(player) - 1
    page.locator('input').fill(str(last))
    page.get_by_role('button', name='play').click()
    page.get_by_role('button', name='pause').click()
    n = int(page.get_attribute('main', 'data-frame'))
    assert n < last
    page.wait_for_timeout(1000)                             # longer than a frame, which takes 800
    assert_shows(page, player, n)


@pytest.mark.browser
def test_the_point_can_be_dragged(show):
    player = PLAYERS['receptive_field']
    page = show(player.page())
    points = player.trace['lines'][-1]['points']
    circle = page.locator('circle.handle')

    def middle():
        box = circle.bounding_box()
        return box['x'] + box['width'] / 2, box['y'] + box['height'] / 2

    page.get_by_role('button', name='next').click()
    x1, y = middle()
    step = points[1] - points[0]
    page.get_by_role('button', name='next').click()
    per_pixel = (middle()[0] - x1) / step
    page.mouse.move(*middle())
    page.mouse.down()
    for k in 3, 5, 4:
        page.mouse.move(x1 + (points[k] - points[1] + .3 * step) * per_pixel, y, steps=3)
        assert_shows(page, player, k)
        assert abs(middle()[0] - x1 - (points[k] - points[1]) * per_pixel) < 1
    page.mouse.move(5000, y)
    assert_shows(page, player, len(player) - 1)
    page.mouse.up()
    page.mouse.move(x1, y)
    assert_shows(page, player, len(player) - 1)


@pytest.mark.browser
def test_several_players_on_one_notebook_page(show):
    names = 'im2col', 'matrix', 'receptive_field'
    page = show('<!doctype html><meta charset="utf-8"><title>exported</title>'
                '<link rel="icon" href="data:,"><main>the notebook</main>'
                + ''.join(PLAYERS[name]._repr_html_() for name in names))
    for i, name in enumerate(names):
        player = PLAYERS[name]
        inside = page.frame_locator('iframe').nth(i)
        assert page.locator('iframe').nth(i).get_attribute('title') == player.trace['title']
        inside.get_by_role('button', name='next').click()
        assert inside.locator('main').get_attribute('data-frame') == '1'
        inside.locator('main').press('ArrowRight')
        assert inside.locator('.caption').text_content() == player.trace['frames'][2]['caption']
        assert page.locator('iframe').nth(i).evaluate(
            'f => f.clientHeight - f.contentDocument.documentElement.scrollHeight') == 0
    assert page.locator('main').text_content() == 'the notebook'


@pytest.mark.browser
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_text_has_enough_contrast(scheme, show):
    """WCAG's contrast of at least 4.5, for numbers on plain, dim, highlighted and written cells."""
    page = show(PLAYERS['convolution'].page(), scheme=scheme)
    pairs = page.evaluate("""() => [['body', 'h2', 'color'], ['body', 'figcaption', 'color'],
        ['.caption', '.caption', 'color'],
        ['.grid g.highlight rect', '.grid g.highlight text', 'fill'],
        ['.grid g.written rect', '.grid g.written text', 'fill'],
        ['.grid g.dim rect', '.grid g.dim text', 'fill'],
        ['.grid g[class=""] rect', '.grid g[class=""] text', 'fill']].map(
            ([background, text, property]) => [
                background === 'body' || background === '.caption'
                    ? getComputedStyle(document.querySelector(background)).backgroundColor
                    : getComputedStyle(document.querySelector(background)).fill,
                getComputedStyle(document.querySelector(text))[property]])""")

    def luminance(colour):
        parts = np.array([int(v) for v in re.findall(r'\d+', colour)[:3]]) / 255
        linear = np.where(parts <= .04045, parts / 12.92, ((parts + .055) / 1.055) ** 2.4)
        return linear @ [.2126, .7152, .0722]

    for background, text in pairs:
        dark, bright = sorted(map(luminance, (background, text)))
        assert (bright + .05) / (dark + .05) >= 4.5, (background, text)
    assert (luminance(pairs[0][0]) < .1) == (scheme == 'dark')
