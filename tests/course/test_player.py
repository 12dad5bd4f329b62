"""The player: what it holds, its page, its moving pictures; and, in Chromium, how it plays."""
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
from tinyfcn.course.player import Player, short

X = np.array([[1, 2, 0, 4], [3, -1, 2, 1], [0, 5, 1, 2], [2, 3, 4, 0]])
W = np.array([[1, 0], [-2, .5]])


def players():
    """One of every tracing function."""
    net, rng = build('fcn16s', width=1/64, seed=None), np.random.default_rng(0)
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
        'transposed': tracing.transposed(X[:2, :2], W, 2),
        'bilinear': tracing.bilinear([1, 3, 2], 2),
        'confusion': tracing.confusion(rng.choice([0, 1, 255], (3, 4)),
                                       rng.integers(0, 2, (3, 4)), 2),
        'avg_pool_to': tracing.avg_pool_to(X, 3),
        'ways': tracing.ways([1, 2, 4]),
        'mean_field': tracing.mean_field([[[.9, .4]], [[.1, .6]]], np.full((1, 2, 3), 9, 'uint8'),
                                         dict(w1=1, alpha=1, beta=9, w2=1, gamma=1)),
        'fusion': tracing.fusion(net, (64, 96), 'pool4', 'upscore2', 'score_pool4c'),
        'places': tracing.places(net, 'pool1', 'pool4', 'pool5', size=(64, 96)),
    }


PLAYERS = players()
each = pytest.mark.parametrize('name', PLAYERS)


def tiny(**more):
    """Two cells, two frames."""
    return Player({**dict(kind='grid', title='two cells', grids=[
        dict(name='x', title='x', values=[[1.5, None]], row=0)], frames=[
        dict(say='first', set={}, lit={'x': [[0, 0]]}),
        dict(say='then', set={'x': [[0, 1, 7.]]}, lit={'x': [[0, 1]]})]), **more})


def test_every_function_of_tracing_is_here():
    assert {*tracing.__all__} <= {*PLAYERS}


# ---- what it holds ------------------------------------------------------------------------------

def test_what_a_frame_sets_stays():
    player = tiny()
    assert len(player) == 2
    assert player[0] == {'x': [[1.5, None]]}
    assert player[1] == player[-1] == {'x': [[1.5, 7.]]}
    assert player[0] == {'x': [[1.5, None]]}, 'looking ahead has changed nothing'
    with pytest.raises(IndexError):
        player[2]
    assert repr(player) == '<Player of 2 frames: two cells>'


@each
def test_the_trace_is_plain_data(name):
    player = PLAYERS[name]
    assert json.loads(json.dumps(player.trace, allow_nan=False)) == player.trace
    assert all(frame['say'] for frame in player.trace['frames'])


@pytest.mark.parametrize('value, text', [
    (None, ''), (7., '7'), (-3, '−3'), (0., '0'), (-0., '0'), (1234567., '1234567'), (1e9, '1e9'),
    (1/3, '0.333'), (-2/3, '−0.667'), (1230.5, '1230'), (99.96, '100'), (.00012, '0.00012'),
    (-1.234e-7, '−1.23e−7'), (float('inf'), '∞'), (float('-inf'), '−∞'), (float('nan'), 'nan'),
    ('already', 'already')])
def test_numbers_are_short(value, text):
    assert short(value) == text


# ---- its page -----------------------------------------------------------------------------------

@each
def test_a_page_needs_nothing_else(name):
    page = PLAYERS[name].page()
    asked = set(re.findall(r'https?://[^\s\'")]+', page)) - {'http://www.w3.org/2000/svg'}
    assert not asked and 'import' not in page and '@font-face' not in page
    assert page.startswith('<!doctype html>') and page.count('</script>') == 1
    assert len(PLAYERS[name]._repr_html_()) < 40_000


def test_titles_and_sentences_are_text_and_never_tags():
    evil = '</script><b title="\'">&amp;'
    player = tiny(title=evil)
    player.trace['frames'][0]['say'] = evil
    page = player.page()
    assert page.count('</script>') == 1 and '<b ' not in page
    assert f'<title>{html.escape(evil)}</title>' in page
    shown = player._repr_html_()
    assert shown.count('<iframe') == shown.count('</iframe>') == 1
    (inside,) = re.findall(r"srcdoc='([^']*)'", shown)
    assert html.unescape(inside) == page


def test_it_is_saved_as_a_page_or_as_moving_pictures(tmp_path):
    tiny().save(tmp_path / 'two.html')
    assert (tmp_path / 'two.html').read_text('utf-8') == tiny().page()
    tiny().save(str(tmp_path / 'two.gif'))
    with pytest.raises(ValueError, match=r'two\.mp4: a player is saved as \.html or \.gif'):
        tiny().save(tmp_path / 'two.mp4')


@each
def test_the_moving_pictures_have_every_frame(name, tmp_path):
    path, player = tmp_path / 'a.gif', PLAYERS[name]
    player.save(path)
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert image.n_frames == len(player)
        assert image.info['loop'] == 0
        seen = set()
        for n in range(len(player)):
            image.seek(n)
            seen.add(image.convert('RGB').tobytes())
        assert len(seen) == len(player), 'no two alike'


def test_moving_pictures_light_what_is_read_and_what_is_written(tmp_path):
    tiny().save(tmp_path / 'a.gif')
    amber, blue = (255, 229, 184), (207, 228, 252)
    with Image.open(tmp_path / 'a.gif') as image:
        for n, colour, other in (0, amber, blue), (1, blue, amber):
            image.seek(n)
            many = dict((c, n) for n, c in image.convert('RGB').getcolors(1 << 16))

            def near(colour, many=many):        # a palette has 64 colours
                return sum(k for c, k in many.items() if max(map(abs, np.subtract(c, colour))) < 9)

            assert near(colour) > 500 > near(other)


# ---- in a browser -------------------------------------------------------------------------------

def needed(found, what, remedy):
    if not found:
        assert not os.environ.get('CI'), f'{what} is not here: {remedy}'
        pytest.skip(f'{what} is not here: {remedy}')


@pytest.fixture(scope='module')
def page():
    needed(find_spec('playwright'), 'playwright', 'pip install playwright')
    needed(which('chromium'), 'chromium', 'apt-get install chromium')
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
    """show(text): it as a page from disk; whatever goes wrong there fails the test at its end."""
    wrong, path = [], tmp_path / 'page.html'
    events = {
        'pageerror': lambda error: wrong.append(str(error)),
        'console': lambda said: wrong.append(said.text),
        'requestfailed': lambda asked: wrong.append(f'failed: {asked.url}'),
        'request': lambda asked: asked.url in (path.as_uri(), 'data:,', 'about:srcdoc')
        or wrong.append(asked.url),
    }

    def show(text, wide=900, scheme='light'):
        path.write_text(text, 'utf-8')
        page.set_viewport_size(dict(width=wide, height=700))
        page.emulate_media(color_scheme=scheme)
        page.goto(path.as_uri())
        return page

    for event, listen in events.items():
        page.on(event, listen)
    yield show
    for event, listen in events.items():
        page.remove_listener(event, listen)
    assert wrong == []


SEEN = """() => {
    const all = what => [...document.querySelectorAll(what)], one = all('main')[0]
    return {
        at: [one.dataset.frame, one.querySelector('output').textContent,
             one.querySelector('input').value], say: one.querySelector('.say').textContent,
        cells: Object.fromEntries(all('figure').map(figure => [
            figure.querySelector('figcaption').textContent,
            [...figure.querySelectorAll('text')].map(text => text.textContent)])),
        lit: all('g.lit, g.made, circle').length, spans: all('.span').length,
    }
}"""


def stands(page, player, at):
    """The page shows frame `at` of the player: cells, what is lit, sentence, counter, slider."""
    frame, seen = player.trace['frames'][at], page.evaluate(SEEN)
    assert seen['at'] == [str(at), f'{at + 1} / {len(player)}', str(at)]
    assert seen['say'] == frame['say']
    assert seen['lit'] == sum(len({*map(str, cells)}) for cells in frame['lit'].values())
    assert seen['spans'] == len(frame.get('spans', ()))
    grids = player.trace.get('grids', ())
    assert seen['cells'] == {grid['title']: [short(value) for row in player[at][grid['name']]
                                             for value in row] for grid in grids}


@pytest.mark.browser
@pytest.mark.parametrize('name', ['im2col', 'fusion'])
def test_every_button_key_and_the_slider(name, show):
    player = PLAYERS[name]
    page, last = show(player.page()), len(player) - 1
    first, previous, forth = (page.get_by_role('button', name=label)
                              for label in ('first', 'previous', 'next'))
    stands(page, player, 0)
    previous.click(force=True)                              # there is none, says aria-disabled
    stands(page, player, 0)
    forth.click()
    forth.click()
    stands(page, player, 2)
    previous.click()
    stands(page, player, 1)
    page.locator('input').fill(str(last))
    stands(page, player, last)
    forth.click(force=True)
    stands(page, player, last)
    first.click()
    stands(page, player, 0)
    for key, at in ('ArrowRight', 1), ('End', last), ('ArrowLeft', last - 1), ('Home', 0):
        page.keyboard.press(key)
        stands(page, player, at)


@pytest.mark.browser
@each
def test_each_plays_and_nothing_is_cut_off_where_it_is_narrow(name, show):
    player = PLAYERS[name]
    page = show(player.page(), wide=320)
    stands(page, player, 0)
    page.get_by_role('button', name='next').click()
    stands(page, player, 1)
    page.keyboard.press('End')
    stands(page, player, len(player) - 1)
    assert page.evaluate('document.documentElement.scrollWidth') <= 320
    # a grid that is too wide scrolls in itself, and what is lit is in sight
    assert page.evaluate("""() => [...document.querySelectorAll('figure, .bar *, .ruler text')]
        .every(e => e.getBoundingClientRect().right <= 320)""")
    assert page.evaluate("""() => [...document.querySelectorAll('figure')].every(figure => {
        const { left, right } = figure.getBoundingClientRect()
        const lit = [...figure.querySelectorAll('g.lit, g.made')].map(
            cell => cell.getBoundingClientRect())
        return !lit.length || lit.some(cell => cell.left >= left - 1 && cell.right <= right + 1)
    })""")
    letters = page.evaluate("""() => [...document.querySelectorAll('.grid')].map(
        svg => 13.5 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)""")
    assert all(size > 10 for size in letters), 'pixels'


@pytest.mark.browser
def test_it_runs_by_itself_to_the_end_and_stops(show):
    player = tracing.bilinear([1, 3, 2], 2)
    page = show(player.page())
    page.get_by_role('button', name='play').click()
    page.locator('[data-frame="2"]').wait_for()
    page.get_by_role('button', name='play').wait_for()      # which was `pause` meanwhile
    stands(page, player, 2)


@pytest.mark.browser
def test_it_begins_anew_after_the_end_and_pauses(show):
    player = PLAYERS['im2col']
    page, last = show(player.page()), len(player) - 1
    page.locator('input').fill(str(last))
    page.get_by_role('button', name='play').click()
    page.get_by_role('button', name='pause').click()
    at = int(page.get_attribute('main', 'data-frame'))
    assert at < last
    page.wait_for_timeout(1000)                             # longer than a frame, which is 800
    stands(page, player, at)


@pytest.mark.browser
def test_the_pixel_is_dragged(show):
    player = PLAYERS['places']
    page = show(player.page())
    points = player.trace['lines'][-1]['points']
    circle = page.locator('circle.handle')

    def middle():
        box = circle.bounding_box()
        return box['x'] + box['width'] / 2, box['y'] + box['height'] / 2

    page.get_by_role('button', name='next').click()
    (x1, y), step = middle(), points[1] - points[0]
    page.get_by_role('button', name='next').click()
    per_pixel = (middle()[0] - x1) / step
    page.mouse.move(*middle())
    page.mouse.down()
    for k in 3, 5, 4:
        page.mouse.move(x1 + (points[k] - points[1] + .3 * step) * per_pixel, y, steps=3)
        stands(page, player, k)
        assert abs(middle()[0] - x1 - (points[k] - points[1]) * per_pixel) < 1
    page.mouse.move(5000, y)
    stands(page, player, len(player) - 1)
    page.mouse.up()
    page.mouse.move(x1, y)
    stands(page, player, len(player) - 1)


@pytest.mark.browser
def test_in_a_notebook_s_page_each_stands_in_a_frame_of_its_own(show):
    names = 'im2col', 'matrix', 'places'
    page = show('<!doctype html><meta charset="utf-8"><title>exported</title>'
                '<link rel="icon" href="data:,"><main>the notebook</main>'
                + ''.join(PLAYERS[name]._repr_html_() for name in names))
    for i, name in enumerate(names):
        player, inside = PLAYERS[name], page.frame_locator('iframe').nth(i)
        assert page.locator('iframe').nth(i).get_attribute('title') == player.trace['title']
        inside.get_by_role('button', name='next').click()
        assert inside.locator('main').get_attribute('data-frame') == '1'
        inside.locator('main').press('ArrowRight')
        assert inside.locator('.say').text_content() == player.trace['frames'][2]['say']
        assert page.locator('iframe').nth(i).evaluate(
            'f => f.clientHeight - f.contentDocument.documentElement.scrollHeight') == 0
    assert page.locator('main').text_content() == 'the notebook'


@pytest.mark.browser
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_words_stand_out_from_their_ground(scheme, show):
    """WCAG's contrast, 4.5 and more: of numbers on plain, soft, lit and written cells."""
    page = show(PLAYERS['convolution'].page(), scheme=scheme)
    pairs = page.evaluate("""() => [['body', 'h2', 'color'], ['body', 'figcaption', 'color'],
        ['.say', '.say', 'color'], ['.grid g.lit rect', '.grid g.lit text', 'fill'],
        ['.grid g.made rect', '.grid g.made text', 'fill'],
        ['.grid g.soft rect', '.grid g.soft text', 'fill'],
        ['.grid g[class=""] rect', '.grid g[class=""] text', 'fill']].map(([under, over, ink]) => [
            under === 'body' || under === '.say'
                ? getComputedStyle(document.querySelector(under)).backgroundColor
                : getComputedStyle(document.querySelector(under)).fill,
            getComputedStyle(document.querySelector(over))[ink]])""")

    def luminance(colour):
        parts = np.array([int(v) for v in re.findall(r'\d+', colour)[:3]]) / 255
        linear = np.where(parts <= .04045, parts / 12.92, ((parts + .055) / 1.055) ** 2.4)
        return linear @ [.2126, .7152, .0722]

    for under, over in pairs:
        dark, bright = sorted(map(luminance, (under, over)))
        assert (bright + .05) / (dark + .05) >= 4.5, (under, over)
    assert (luminance(pairs[0][0]) < .1) == (scheme == 'dark')
