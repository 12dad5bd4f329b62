"""How players play in Chromium: buttons, keys, pointing, editing, motion; and their JavaScript ops,
held to the library's."""
import re

import numpy as np
import pytest
from sample_players import PLAYERS, W, X

from tinyfcn import Net, viz
from tinyfcn.course import tracing
from tinyfcn.course.player import format_number
from tinyfcn.course.player.page import EDIT_SCRIPTS, TRACE_SCRIPTS, join_files, share_parts
from tinyfcn.layers import add, conv, crop, max_pool, upsample

pytestmark = pytest.mark.browser
each = pytest.mark.parametrize('name', PLAYERS)


@pytest.fixture(scope='module')
def page(browser):
    page = browser.new_page()
    page.set_default_timeout(10_000)
    return page


@pytest.fixture
def show(page, tmp_path):
    """show(text) opens it as a page from disk; errors and requests there fail the test at its end.
    """
    path = tmp_path / 'page.html'
    allowed = path.as_uri(), 'data:,', 'about:srcdoc'
    problems = []

    def on_request(request):
        if request.url not in allowed and not request.url.startswith('data:image/'):
            problems.append(request.url)

    listeners = {
        'pageerror': lambda error: problems.append(str(error)),
        'console': lambda message: problems.append(message.text),
        'requestfailed': lambda request: problems.append(f'failed: {request.url}'),
        'request': on_request,
    }

    def show(text, wide=900, high=900, scheme='light', motion='reduce'):
        path.write_text(text, 'utf-8')
        page.set_viewport_size(dict(width=wide, height=high))
        page.emulate_media(color_scheme=scheme, reduced_motion=motion, media='screen')
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
                main.querySelector('input[type=range]').value],
        caption: main.querySelector('.caption').textContent,
        cells: Object.fromEntries(all('figure:has(.grid)').map(figure => [
            figure.querySelector('figcaption').textContent,
            [...figure.querySelectorAll('text')].map(text => text.textContent)])),
        highlighted: all('g.highlight, g.written, .unit').length,
        spans: all('.span').length, terms: all('.term').map(term => term.textContent),
    }
}"""


def assert_shows(page, player, n):
    """The page shows frame n: cells, highlights, caption, counter and slider."""
    frame = player.trace['frames'][n]
    state = page.evaluate(PAGE_STATE)
    assert state['frame'] == [str(n), f'{n + 1} / {len(player)}', str(n)]
    assert state['caption'] == frame['caption']
    is_stack = player.trace['kind'] == 'stack'              # it shows the unit in the middle
    assert state['highlighted'] == len(frame.get('units', ())) + is_stack + sum(
        len({*map(str, cells)}) for cells in frame.get('highlight', {}).values())
    assert state['spans'] == len(frame.get('fields', ())) + is_stack
    # a sum is shown term by term, unless it is abbreviated
    lengths = [len(each['terms']) for each in frame.get('sums', ()) if each.get('how') != 'copy']
    if ' = ' in frame['caption'] and 0 < max(lengths, default=0) < 13:
        assert len(state['terms']) == max(lengths)
    cells = {}
    for grid in player.trace.get('grids', ()):
        values = player[n][grid['name']]
        cells[grid['title']] = [format_number(value) for row in values for value in row]
    assert state['cells'] == cells


@pytest.mark.parametrize('name', ['im2col', 'fusion'])
def test_every_button_key_and_the_slider(name, show):
    player = PLAYERS[name]
    page = show(player.page())
    last = len(player) - 1
    first, previous, next_, last_ = (page.get_by_role('button', name=label, exact=True)
                                     for label in ('first', 'previous', 'next', 'last'))
    assert_shows(page, player, 0)
    previous.click(force=True)                              # it is aria-disabled
    assert_shows(page, player, 0)
    next_.click()
    next_.click()
    assert_shows(page, player, 2)
    previous.click()
    assert_shows(page, player, 1)
    page.locator('input[type=range]').fill(str(last))
    assert_shows(page, player, last)
    next_.click(force=True)
    assert_shows(page, player, last)
    first.click()
    assert_shows(page, player, 0)
    last_.click()
    assert_shows(page, player, last)
    first.click()
    assert_shows(page, player, 0)
    for key, n in ('ArrowRight', 1), ('End', last), ('ArrowLeft', last - 1), ('Home', 0):
        page.keyboard.press(key)
        assert_shows(page, player, n)


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


def test_play_runs_to_the_end_and_stops(show):
    player = tracing.bilinear([1, 3, 2], 2)
    page = show(player.page())
    page.get_by_role('button', name='speed').click()        # twice as fast
    page.get_by_role('button', name='play').click()
    page.locator('[data-frame="2"]').wait_for()
    page.get_by_role('button', name='play').wait_for()      # it was `pause` while playing
    assert_shows(page, player, 2)


def test_play_starts_again_after_the_end_and_pauses(show):
    player = PLAYERS['im2col']
    page = show(player.page())
    last = len(player) - 1
    page.locator('input[type=range]').fill(str(last))
    page.get_by_role('button', name='speed').click()
    page.get_by_role('button', name='play').click()
    page.get_by_role('button', name='pause').click()
    n = int(page.get_attribute('main', 'data-frame'))
    assert n < last
    page.wait_for_timeout(650)                              # longer than a frame, which takes 550
    assert_shows(page, player, n)


def test_the_unit_can_be_dragged_along_both_axes(show):
    player = PLAYERS['receptive_field']
    page = show(player.page())
    dragged = player.trace['maps'][-1]
    high, wide = dragged['size']
    (top, bottom), (left, right) = player.trace['extent']
    box = page.locator('.map svg').first.bounding_box()         # of the image: any map will do
    per_pixel = box['width'] / (right - left + 1)

    def screen(i, j):
        """A little beside the unit's centre."""
        y, x = (scale * (n + .3) + shift - first + .5
                for n, scale, shift, first in zip((i, j), dragged['scale'], dragged['shift'],
                                                  (top, left)))
        return box['x'] + x * per_pixel, box['y'] + y * per_pixel

    page.mouse.move(*screen(2, 3))
    page.mouse.down()
    assert_shows(page, player, 2 * wide + 3)
    page.mouse.move(*screen(1, 5), steps=3)
    assert_shows(page, player, wide + 5)
    page.mouse.move(5000, 5000)
    assert_shows(page, player, high * wide - 1)
    page.mouse.up()
    page.mouse.move(*screen(0, 0))
    assert_shows(page, player, high * wide - 1)
    page.locator('main').focus()
    page.keyboard.press('ArrowUp')
    assert_shows(page, player, (high - 1) * wide - 1)


def test_a_pad_and_a_crop_of_the_stack_can_be_dragged(show):
    player = PLAYERS['stack']
    page = show(player.page())
    page.locator('tr', has_text='conv1').click()
    assert_shows(page, player, 1)

    def drag(units):
        box = page.locator('circle.edge').bounding_box()
        per_pixel = page.locator('.map svg').evaluate(
            'svg => svg.clientWidth / svg.viewBox.baseVal.width')
        x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + units * per_pixel, y, steps=3)
        page.mouse.up()

    drag(-2)                                                # outwards: two pixels more
    page.get_by_role('button', name='smaller pad').click()
    cells = page.locator('.current td').all_text_contents()
    assert cells[:5] == ['conv1', '3', '1', '22', '74']
    page.locator('tr', has_text='score').last.click()
    assert page.locator('.problem').count() == 0
    drag(3)
    right = player.trace['frames'][-1]['offset']
    assert page.locator('.caption').text_content().endswith(
        f' = {right + 1}, not at {right + 4}: every unit lies 3 pixels off')
    assert page.locator('.problem td').first.text_content() == 'score'


def test_several_players_on_one_notebook_page(show):
    names = 'im2col', 'matrix', 'receptive_field'
    outputs = share_parts([PLAYERS[name]._repr_html_() for name in names])
    page = show('<!doctype html><meta charset="utf-8"><title>exported</title>'
                '<link rel="icon" href="data:,"><main>the notebook</main>' + ''.join(outputs))
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
    stills = page.locator('.player-still')
    assert stills.count() == 3 and not any(still.is_visible() for still in stills.all())


def test_a_player_waits_for_the_scripts_that_another_one_has(show):
    """JupyterLab may show the end of a notebook before its beginning."""
    first, second = share_parts([PLAYERS[name]._repr_html_() for name in ('bilinear', 'matrix')])
    page = show('<!doctype html><meta charset="utf-8"><title>the end</title>'
                '<link rel="icon" href="data:,">' + second)
    page.wait_for_function("document.querySelector('iframe').clientHeight === 0")
    assert page.locator('.player-still').is_visible()
    page.evaluate("html => document.body.insertAdjacentHTML('afterbegin', html)", first)
    for i in 0, 1:
        page.frame_locator('iframe').nth(i).locator('[data-frame="0"]').wait_for()
        assert not page.locator('.player-still').nth(i).is_visible()


def test_the_last_frame_is_seen_where_scripts_do_not_run(browser, tmp_path):
    path = tmp_path / 'page.html'
    path.write_text('<!doctype html><meta charset="utf-8">' + PLAYERS['convolution']._repr_html_(),
                    'utf-8')
    context = browser.new_context(java_script_enabled=False)
    without_scripts = context.new_page()
    without_scripts.goto(path.as_uri())
    assert without_scripts.locator('.player-still table').first.is_visible()
    context.close()


def test_what_is_printed_is_the_last_frame(show):
    player = PLAYERS['convolution']
    page = show(player.page())
    page.emulate_media(media='print')
    page.locator(f'[data-frame="{len(player) - 1}"]').wait_for()
    assert not page.locator('.bar').is_visible()


# ---- pointing, clicking, editing ----------------------------------------------------------------

def cell(page, grid, i, j):
    return page.locator(f"[data-cell='[\"{grid}\",{i},{j}]']")


def test_a_click_on_an_output_goes_to_its_step(show):
    player = PLAYERS['convolution']
    page = show(player.page())
    cell(page, 'y', 1, 2).click()
    assert_shows(page, player, 5)
    cell(page, 'y', 0, 1).click()
    assert_shows(page, player, 1)
    cell(page, 'x', 2, 2).click()                           # what is only read: the next such step
    n = int(page.get_attribute('main', 'data-frame'))
    assert n > 1 and [2, 2] in player.trace['frames'][n]['highlight']['x']


def test_tap_pixel_and_term_light_up_together(show):
    player = tracing.convolution(X, W)
    page = show(player.page())
    lit = "() => [...document.querySelectorAll('.lit')].map(e => e.dataset.cell ?? e.textContent)"
    wanted = ['["x",1,0]', '["w",1,0]', '2·3']              # − stands before the term
    for pointed in cell(page, 'w', 1, 0), cell(page, 'x', 1, 0), page.locator('.term').nth(2):
        page.mouse.move(0, 0)
        pointed.hover()
        assert page.evaluate(lit) == wanted
    page.mouse.move(0, 0)
    assert page.evaluate(lit) == []


def test_every_cell_that_a_step_writes_shows_its_own_sum(show):
    player = tracing.scatter([[2, -3]], [[1, 5]])
    page = show(player.page())
    page.get_by_role('button', name='next').click()
    caption = page.locator('.caption')
    assert caption.text_content().endswith('y[0,1] = 10 − 3·1 = 7')
    cell(page, 'y', 0, 2).hover()
    assert caption.text_content() == 'y[0,2] = 0 − 3·5 = −15'
    page.mouse.move(0, 0)
    assert_shows(page, player, 1)


def test_numbers_stride_and_pad_can_be_changed(show):
    page = show(tracing.convolution(X, W).page())
    page.get_by_role('button', name='edit').click()
    cell(page, 'x', 0, 1).click()
    page.locator('.entry').fill('-7')
    page.keyboard.press('Enter')
    changed = X.copy()
    changed[0, 1] = -7
    assert_shows(page, tracing.convolution(changed, W), 0)
    page.get_by_role('button', name='larger stride').click()
    page.get_by_role('button', name='larger pad').click()
    player = tracing.convolution(changed, W, stride=2, pad=1)
    assert_shows(page, player, 0)
    page.get_by_role('button', name='larger size').click()
    longer = np.pad(changed, (0, 1), 'wrap')
    assert_shows(page, tracing.convolution(longer, W, stride=2, pad=1), 0)
    page.get_by_role('button', name='smaller size').click()
    assert_shows(page, player, 0)
    cell(page, 'w', 1, 1).click()                           # editing is still on
    page.locator('.entry').fill('3')
    page.keyboard.press('Escape')
    assert_shows(page, player, 0)
    page.get_by_role('button', name='edit').click()
    cell(page, 'y', 1, 1).click()
    assert_shows(page, player, 4)


@pytest.mark.parametrize('function, grid, place, change', [
    (tracing.im2col, 'w', (2, 0), dict(w=[[1, 0], [6, .5]])),           # there w is a column
    (tracing.scatter, 'x', (1, 0), dict(x=[[1, 2], [6, 4]])),
    (tracing.max_pool, 'x', (1, 0), dict(x=[[1, 2], [6, 4]])),
])
def test_a_number_can_be_changed_wherever_it_stands(function, grid, place, change, show):
    numbers = dict(x=[[1, 2], [3, 4]], w=[[1, 0], [-2, .5]])
    if function is tracing.max_pool:
        numbers = dict(x=numbers['x'], ksize=2)
    page = show(function(**numbers).page())
    page.get_by_role('button', name='edit').click()
    cell(page, grid, *place).click()
    page.locator('.entry').fill('6')
    page.keyboard.press('Enter')
    assert_shows(page, function(**{**numbers, **change}), 0)


@pytest.mark.parametrize('name, numbers', [
    ('im2col', dict(pad=1)), ('max_pool', dict(ksize=2)), ('scatter', dict(stride=2)),
    ('zero_insert', dict(stride=2)), ('transposed_matrix', dict(stride=2))])
def test_the_input_can_be_made_smaller_and_larger_by_a_pixel(name, numbers, show):
    def player(x):
        if name != 'max_pool':
            numbers['w'] = W
        return getattr(tracing, name)(x, **numbers)

    x = X[:3, :2]
    page = show(player(x).page())
    page.get_by_role('button', name='smaller size').click()
    assert_shows(page, player(X[:2, :1]), 0)
    page.get_by_role('button', name='larger size').click()
    assert_shows(page, player(np.pad(X[:2, :1], (0, 1), 'wrap')), 0)


def test_an_input_too_large_to_read_is_refused(show):
    page = show(tracing.im2col(X[:2, :2], np.ones((4, 4)), pad=3).page())
    larger = page.get_by_role('button', name='larger size')
    for _ in range(8):
        larger.click(force=True)
    assert page.locator('.caption').text_content() == 'Too many cells to read: take a smaller size.'


def test_a_tap_is_a_click(browser, tmp_path):
    path = tmp_path / 'page.html'
    path.write_text(PLAYERS['convolution'].page(), 'utf-8')
    context = browser.new_context(has_touch=True, viewport=dict(width=390, height=844))
    phone = context.new_page()
    phone.goto(path.as_uri())
    cell(phone, 'y', 1, 2).tap()
    assert_shows(phone, PLAYERS['convolution'], 5)
    phone.get_by_role('button', name='next').tap()
    assert_shows(phone, PLAYERS['convolution'], 6)
    context.close()


def test_a_window_that_does_not_fit_is_said(show):
    page = show(tracing.convolution(X[:2, :2], W).page())
    page.get_by_role('button', name='larger dilation').click()
    assert page.locator('.caption').text_content() == (
        'A window of 2×2 does not fit into 2×2: take a smaller dilation, or a larger pad.')


def test_predict_asks_before_it_shows(show):
    player = tracing.convolution(X, W)
    page = show(player.page())
    page.get_by_role('button', name='predict').click()
    page.get_by_role('button', name='next').click()
    assert cell(page, 'y', 0, 1).text_content() == '?'
    assert not cell(page, 'y', 0, 1).locator('.tint').is_visible(), 'its colour would say the sign'
    caption = page.locator('.caption')
    frame = player.trace['frames'][1]
    assert caption.text_content() == frame['caption'][:frame['caption'].rindex(' ')] + ' '
    page.locator('.answer').fill(str(player[1]['y'][0][1]))
    page.keyboard.press('Enter')
    assert caption.text_content() == frame['caption'] + '  ✓ right'
    assert cell(page, 'y', 0, 1).text_content() == format_number(player[1]['y'][0][1])
    page.keyboard.press('ArrowRight')
    page.locator('.answer').fill('1000')
    page.keyboard.press('Enter')
    assert caption.text_content().endswith('✗ you said 1000')


def test_space_plays_and_pauses(show):
    page = show(PLAYERS['im2col'].page())
    page.locator('main').focus()
    page.keyboard.press('Space')
    page.get_by_role('button', name='pause').wait_for()
    page.keyboard.press('Space')
    page.get_by_role('button', name='play').wait_for()
    assert page.get_attribute('main', 'data-frame') == '1'


# ---- motion, and small screens ------------------------------------------------------------------

def test_products_fly_to_their_sum_unless_motion_is_not_wanted(show):
    player = tracing.convolution(X, W)
    for motion, ghosts in ('no-preference', 4), ('reduce', 0):
        page = show(player.page(), motion=motion)
        page.get_by_role('button', name='next').click()
        assert page.locator('.ghost').count() == ghosts
        page.wait_for_function("!document.querySelector('.ghost')")
        assert_shows(page, player, 1)


@pytest.mark.parametrize('name', ['two channels', 'im2col', 'mean_field', 'fusion', 'stack',
                                  'walk'])
def test_no_control_is_below_the_fold_of_a_phone(name, show):
    page = show('<!doctype html><meta charset="utf-8"><title>exported</title>'
                '<meta name="viewport" content="width=device-width, initial-scale=1">'
                '<link rel="icon" href="data:,"><style>body { margin: 0 }</style>'
                + PLAYERS[name]._repr_html_(), wide=390, high=844)
    inside = page.frame_locator('iframe')
    inside.locator('[data-frame]').wait_for()
    page.wait_for_function("document.querySelector('iframe').clientHeight <= 844")
    for button in inside.locator('.bar button').all():
        box = button.bounding_box()
        assert box['y'] + box['height'] <= 844 and box['x'] + box['width'] <= 390


@pytest.mark.parametrize('name', [
    name for name, player in PLAYERS.items() if player.trace['kind'] == 'stack'
    or len(player.trace.get('grids', player.trace.get('panels', ()))) > 3])
def test_all_is_on_one_screen(name, show):
    page = show(PLAYERS[name].page(), 390, 844)
    page.locator('main').press('End')
    for wide, high in (390, 844), (1280, 800):
        page.set_viewport_size(dict(width=wide, height=high))
        page.wait_for_function(f"document.querySelector('main').offsetHeight <= {high}")


def test_formulas_are_typeset_and_their_text_is_kept(show):
    page = show(PLAYERS['stack'].page())
    page.locator('main').press('ArrowRight')
    fraction = page.locator('.caption mfrac').last
    assert fraction.text_content() == '(3 − 1)/2'
    assert fraction.locator('.unseen').all_text_contents() == ['(', ')/']
    page = show(PLAYERS['two channels'].page())
    formula = page.locator('.formula')
    assert formula.text_content() == 'y[0,0] = Σ[c,a,b] w[c][a,b] · x[c][a,b]'
    page.locator('main').press('End')
    assert formula.text_content() == 'y[2,2] = Σ[c,a,b] w[c][a,b] · x[c][2+a,2+b]'
    assert formula.locator('munder').count() == 1 and formula.locator('msub').count() == 3
    page.locator('main').press('Home')
    assert page.locator('.caption msub').text_content() == 'y[0,0]'
    assert page.locator('.caption .term math').count() == 8


def test_what_a_step_writes_is_in_sight_on_a_low_screen(show):
    page = show(PLAYERS['zero_insert'].page(), wide=390, high=560)
    for key in 'End', 'Home', 'ArrowRight':
        page.keyboard.press(key)
        written = page.locator('g.written rect').first.bounding_box()
        dock = page.locator('.dock').bounding_box()
        assert 0 <= written['y'] and written['y'] + written['height'] <= dock['y'] + 1
        assert dock['y'] + dock['height'] <= 560


# ---- small ops in JavaScript --------------------------------------------------------------------

@pytest.fixture(scope='module')
def scripts(browser):
    """The page's own functions, to call them."""
    names = ['numbers.mjs', 'equation.mjs', *EDIT_SCRIPTS, *sorted({*TRACE_SCRIPTS.values()}),
             'descent.mjs', 'restack.mjs']
    page = browser.new_page()
    page.set_content(f'<script type="module">\n{join_files(names)}\n'
                     'Object.assign(window, { formatNumber, classColour, retrace, descend, '
                     'restack })</script>')
    page.wait_for_function("'restack' in window")
    return page


def test_numbers_are_written_as_python_writes_them(scripts):
    rng = np.random.default_rng(0)
    values = [*rng.standard_normal(200), *(rng.integers(-99, 99, 200) / 16),
              *(10. ** rng.uniform(-9, 12, 200)), 0., -0., 1.125, 1.375, 8.345, 10.25, 999.5, 1e7,
              99.96, 1230.5, 1e-4, 9.9996e-5, -1.234e-7, 1e9]
    values = [float(value) for value in values]
    assert scripts.evaluate('values => values.map(formatNumber)', values) == [
        format_number(value) for value in values]


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('function', ['convolution', 'im2col', 'scatter', 'zero_insert',
                                      'transposed_matrix'])
def test_a_changed_trace_is_the_library_s(function, seed, scripts):
    rng = np.random.default_rng(seed)
    c, h, w, kh, kw = (int(n) for n in rng.integers((1, 3, 3, 1, 1), (3, 6, 6, 4, 4)))
    x = rng.integers(-4 * (seed % 2), 5, (c, h, w)) / 2
    weights = rng.integers(-3, 4, (c, kh, kw)) / 2
    numbers = dict(stride=int(rng.integers(1, 4)), pad=int(rng.integers(0, min(kh, kw, 2))))
    if function == 'convolution':
        numbers['dilation'] = 1 if min(h, w) < 2 * max(kh, kw) - 1 else 2
    if function == 'transposed_matrix':
        x = x[:, :2, :3]                                # a grid for each number
    trace = getattr(tracing, function)(x, weights, **numbers).trace
    assert scripts.evaluate('retrace', trace['edit']) == trace


@pytest.mark.parametrize('ksize, stride', [(2, 2), (3, 2), (2, 1), (2, 3), (1, 2)])
def test_a_changed_pooling_is_the_library_s(ksize, stride, scripts):
    x = np.random.default_rng(ksize).integers(-4, 5, (2, 5, 6)) / 2
    trace = tracing.max_pool(x, ksize, stride).trace
    assert scripts.evaluate('retrace', trace['edit']) == trace


@pytest.mark.parametrize('lr, momentum', [(.05, 0.), (.02, .9), (.15, .5)])
def test_a_changed_descent_is_the_library_s(lr, momentum, scripts):
    trace = tracing.descent(steps=8).trace
    wanted = tracing.descent(lr, momentum, steps=8).trace['frames']
    changed = scripts.evaluate('descend', {**trace, 'lr': lr, 'momentum': momentum})
    assert [frame['caption'] for frame in changed] == [frame['caption'] for frame in wanted]
    for frame, true in zip(changed, wanted):
        np.testing.assert_allclose([*frame['point'], frame['loss']],
                                   [*true['point'], true['loss']], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize('pad, stride, ksize, ceil', [
    (9, 2, 4, True), (40, 2, 6, False), (40, 3, 7, True), (40, 2, 3, True), (0, 2, 4, True)])
def test_a_changed_stack_is_the_library_s(pad, stride, ksize, ceil, scripts):
    def make():
        n = Net(1, seed=None)
        n.first = conv(n.data, 1, 3, pad=pad)
        n.second = max_pool(n.first, 2, 2, pad=1, ceil=ceil)
        n.third = conv(n.second, 1, ksize, stride=stride)
        n.up = upsample(n.third, stride)
        n.cropped = crop(n.second, like=n.up)
        n.fuse = add(n.up, n.cropped)
        n.up2 = upsample(n.fuse, 2)
        n.score = crop(n.up2, like=n.data)
        return tracing.stack(n, 31).trace

    layers = [dict(name='image', op='image'),
              dict(name='first', op='conv', ksize=3, stride=1, pad=pad),
              dict(name='second', op='pool' if ceil else 'conv', ksize=2, stride=2, pad=1),
              dict(name='third', op='conv', ksize=ksize, stride=stride, pad=0),
              dict(name='up', op='up', ksize=2 * stride - stride % 2, stride=stride, pad=0),
              dict(name='fuse', op='fuse', like='second'),
              dict(name='up2', op='up', ksize=4, stride=2, pad=0),
              dict(name='score', op='crop', like='image')]
    frames = scripts.evaluate('restack', dict(size=31, layers=layers))
    try:
        trace = make()
    except ValueError as error:
        assert any(problem in str(error) for problem in ('between two pixels', 'does not fit',
                                                         'needs more padding'))
        assert any(frame.get('problem') for frame in frames)
    else:
        assert trace['layers'] == layers and frames == trace['frames']


# ---- colours ------------------------------------------------------------------------------------

def luminance(rgb):
    parts = np.array(rgb) / 255
    linear = np.where(parts <= .04045, parts / 12.92, ((parts + .055) / 1.055) ** 2.4)
    return linear @ [.2126, .7152, .0722]


def rgb(colour):
    return [float(v) for v in re.findall(r'[\d.]+', colour)[:3]]


def test_a_class_has_the_colour_that_it_has_in_the_pictures(scripts):
    colours = [scripts.evaluate('classColour', number) for number in range(255)]
    assert colours == viz.palette(255).tolist()


@pytest.mark.parametrize('name', ['convolution', 'confusion', 'bilinear', 'mean_field', 'matrix',
                                  'loss'])
def test_text_has_enough_contrast(name, show):
    """WCAG's contrast of at least 4.5, for texts, and for numbers on cells of all colours."""
    page = show(PLAYERS[name].page())
    page.keyboard.press('End')
    for scheme in 'light', 'dark':
        page.emulate_media(color_scheme=scheme)
        # [background, text], and of a cell also the colour over its background and how opaque it is
        pairs = page.evaluate("""() => {
            const style = element => getComputedStyle(element)
            const texts = [['body', 'h2'], ['body', 'figcaption'], ['.caption', '.caption']].map(
                selectors => selectors.map(selector => document.querySelector(selector)))
            const cells = [...document.querySelectorAll('g[data-cell]')].map(cell => cell.children)
            return [
                ...texts.map(([back, text]) => [style(back).backgroundColor, style(text).color]),
                ...cells.map(([back, tint, , text]) => [style(back).fill, style(text).fill,
                    style(tint).fill, style(tint).display === 'none' ? 0 : style(tint).opacity])]
        }""")
        for background, text, *tint in pairs:
            colour = np.array(rgb(background))
            if tint and tint[0] != 'none':
                opacity = float(tint[1])
                colour = (1 - opacity) * colour + opacity * np.array(rgb(tint[0]))
            dark, bright = sorted([luminance(colour), luminance(rgb(text))])
            assert (bright + .05) / (dark + .05) >= 4.5, (scheme, background, text, tint)
        assert (luminance(rgb(pairs[0][0])) < .1) == (scheme == 'dark')
