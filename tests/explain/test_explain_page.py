"""The explainer's page as a reader uses it, in Chromium: it shows what the library computes."""
import json
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

import tinyfcn
from tinyfcn import viz
from tinyfcn.data import shapes
from tinyfcn.data.transforms import prepare
from tinyfcn.explain import Part, make_calculator, make_page
from tinyfcn.prediction.pixel import explain_pixel, part_of_score, score_layers

pytestmark = pytest.mark.explain
CLASSES = ['background', 'disc', 'triangle', 'ring', 'flower']
PREPROCESS = dict(order='BGR', scale=1 / 64, mean=(2., 2.1, 1.9), std=(1, 1.5, 1))
MASK = """() => {
    const { width, height } = document.querySelectorAll('figure canvas')[1]
    const context = document.querySelectorAll('figure canvas')[1].getContext('2d')
    return [height, width, ...context.getImageData(0, 0, width, height).data]
}"""


def random_net(name):
    """With weights of half precision, and scores large enough to differ."""
    net = tinyfcn.build(name, n_class=len(CLASSES), width=.5)
    rng = np.random.default_rng(0)
    for key, w in {**net.params, **net.state}.items():
        if key.startswith('score'):
            w[...] = rng.normal(0, .3, w.shape)
        w[...] = w.astype('float16')
    net.about.update(classes=CLASSES, preprocess=PREPROCESS)
    return net


NETS = {name: random_net(name) for name in ('tiny_32s', 'tiny_8s')}
IMAGE, _ = shapes.generate(0, 1, (60, 80), n_class=5)
COLOURS = viz.class_colours(CLASSES)[:len(CLASSES)]


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    """The page of two nets."""
    path = tmp_path_factory.mktemp('explain') / 'page.html'
    path.write_text(make_page([Part(*item) for item in NETS.items()], IMAGE, 'two nets',
                              ['Why?']), 'utf-8')
    return path


@pytest.fixture(scope='module')
def page(browser, path):
    """An error or a request fails the test that ends then."""
    page = browser.new_page(viewport=dict(width=1280, height=900))
    page.problems = []
    page.on('pageerror', lambda error: page.problems.append(str(error)))
    page.on('console', lambda message: page.problems.append(message.text)
            if message.type == 'error' else None)
    page.on('request', lambda request: page.problems.append(request.url)
            if not request.url.startswith(('data:', 'blob:', path.as_uri())) else None)
    page.goto(path.as_uri())
    page.set_default_timeout(20_000)
    yield page
    page.close()


@pytest.fixture(autouse=True)
def no_problems(page):
    expect(page.locator('.status')).to_contain_text('60×80 pixels', timeout=30_000)
    expect(page.locator('table.parts')).to_be_visible()
    yield
    assert page.problems == []


def shown_mask(page):
    """The classes by the colours of the mask; -1 where the chosen pixel is marked."""
    height, width, *rgba = page.evaluate(MASK)
    rgb = np.array(rgba).reshape(height, width, 4)[..., :3]
    found = np.full((height, width), -1)
    for c, colour in enumerate(COLOURS):
        found[(rgb == colour).all(-1)] = c
    return found


def assert_mask(page, wanted):
    """Of all pixels but the 25 that mark the chosen one; a tie in rounding may go either way."""
    def agreement():
        found = shown_mask(page)
        return (found == wanted)[found >= 0].mean() if found.shape == wanted.shape else 0
    for _ in range(100):
        if agreement() > .998:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f'only {agreement():.3f} of the pixels have the class of the library')


def mask_of(name, layers=None):
    """By the library; if of all score layers only these had values."""
    net = NETS[name]
    data = prepare(IMAGE, PREPROCESS)
    if layers is None:
        return net.forward(data)[0].argmax(0)
    return sum(part_of_score(net, score_layers(net), layer, data) for layer in layers).argmax(0)


def wait_until(page, expression):
    """As page.wait_for_function, which the policy of the page forbids."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f'never: {expression}')


def choose_net(page, i):
    slider = page.locator('.tools input[type=range]').first
    slider.fill(str(i))
    expect(page.locator('.tools output').first).to_have_text([*NETS][i])


def click_mask(page, row, column):
    canvas = page.locator('figure canvas').nth(1)
    box = canvas.bounding_box()
    canvas.click(position=dict(x=(column + .5) * box['width'] / 80,
                               y=(row + .5) * box['height'] / 60))
    expect(page.locator('.pixel')).to_contain_text(f'Row {row}, column {column}')


def number(text):
    return float(text.replace('−', '-'))


def test_masks_and_skips(page):
    for i, name in enumerate(NETS):
        choose_net(page, i)
        assert_mask(page, mask_of(name))
    click_mask(page, 20, 33)
    page.get_by_role('checkbox', name='score_pool3').uncheck()
    assert_mask(page, mask_of('tiny_8s', ['score_fr', 'score_pool4']))
    found = explain_pixel(NETS['tiny_8s'], IMAGE, 20, 33)
    score = found.parts['score_fr'] + found.parts['score_pool4']
    expect(page.locator('table.parts thead')).to_have_text('classscorescore_frscore_pool4')
    expect(page.locator('.pixel')).to_contain_text(f'is {CLASSES[score.argmax()]} ')
    assert abs(number(page.locator('table.parts .sum').first.text_content()) - score.max()) < .0051
    assert_fuse_pool3(page, score_pool3=0)
    page.get_by_role('checkbox', name='score_pool3').check()
    assert_mask(page, mask_of('tiny_8s'))
    net = NETS['tiny_8s']
    net.forward(prepare(IMAGE, PREPROCESS), keep=True)
    assert_fuse_pool3(page, **{name.removesuffix('c'): net.values[name][0]
                               for name in net.fuse_pool3.inputs})


def assert_fuse_pool3(page, **parts):
    """The box adds these, and shows the channel of the class of the chosen pixel."""
    page.get_by_role('button', name='box fuse_pool3', exact=True).click()
    detail = page.locator('.detail')
    text = detail.locator('.terms p').text_content()
    channel, row, column, value = re.match(
        r'fuse_pool3\[(\d+), (\d+), (\d+)\] = ([−\d.]+), the sum of', text).groups()
    name = page.locator('table.parts tbody th').first.text_content()
    assert CLASSES[int(channel)] == name
    lines = detail.locator('.terms tr').all()
    shown = {line.locator('td').first.text_content().removesuffix('c'):
             number(line.locator('.sum').text_content()) for line in lines}
    assert abs(sum(shown.values()) - number(value)) < .002
    for part, wanted in parts.items():
        at = wanted if np.isscalar(wanted) else wanted[int(channel), int(row), int(column)]
        assert abs(shown[part] - at) < .0006, part


def test_a_net_that_is_chosen_before_the_last_one_is_shown(page):
    slider = page.locator('.tools input[type=range]').first
    slider.evaluate("""slider => {
        for (const value of [0, 1, 0, 1]) {
            slider.value = value
            slider.onchange()
        }
    }""")
    expect(page.get_by_role('checkbox')).to_have_count(3)
    assert_mask(page, mask_of('tiny_8s'))
    expect(page.locator('.tools output').first).to_have_text('tiny_8s')


def test_the_score_of_a_pixel_is_a_sum(page):
    choose_net(page, 1)
    click_mask(page, 20, 33)
    found = explain_pixel(NETS['tiny_8s'], IMAGE, 20, 33)
    rows = page.locator('table.parts tbody tr')
    assert rows.count() == len(CLASSES)
    shown = {}
    for row in rows.all():
        score, *numbers = [number(text)
                           for text in row.locator('.number, .sum').all_text_contents()]
        numbers.append(score)
        shown[row.locator('th').text_content()] = numbers
    for c, name in enumerate(CLASSES):
        wanted = [*(part[c] for part in found.parts.values()), found.score[c]]
        assert np.allclose(shown[name], wanted, atol=.0051), name
    assert [*shown] == [CLASSES[c] for c in np.argsort(-found.score)]
    page.locator('figure canvas').nth(1).press('ArrowRight')
    expect(page.locator('.pixel')).to_contain_text('Row 20, column 34')


def test_a_box_and_one_of_its_values(page):
    choose_net(page, 1)
    click_mask(page, 30, 40)
    net = NETS['tiny_8s']
    box = page.get_by_role('button', name='box pool3', exact=True)
    box.focus()
    page.keyboard.press('Enter')
    detail = page.locator('.detail')
    expect(detail.locator('.line')).to_have_text(net.pool3.line)
    text = detail.locator('.terms p').text_content()
    channel, row, column, value = re.match(
        r'pool3\[(\d+), (\d+), (\d+)\] = ([−\d.]+), the largest of', text).groups()
    net.forward(prepare(IMAGE, PREPROCESS), keep=True)
    exact = net.values['pool3'][0, int(channel), int(row), int(column)]
    assert abs(number(value) - exact) < .0006
    shown = [number(text) for text in detail.locator('.terms .sum').all_text_contents()]
    assert max(shown) == number(value)

    page.get_by_role('button', name='box score', exact=True).click()
    expect(detail).to_contain_text(re.compile('so 28 of them come before: crop 28. With 27 or 29, '
                                              'every value of upscore8 would lie 1 pixel away'))
    page.get_by_role('button', name='box score_fr', exact=True).click()
    expect(detail.locator('.terms p')).to_contain_text('the sum of')
    products = []
    for text in detail.locator('.terms .sum').all_text_contents():
        factors = [number(part) for part in text.split(' × ')]
        products.append(np.prod(factors))
    value = number(detail.locator('.terms p').text_content().split(' = ')[1].split(', the')[0])
    assert abs(sum(products) - value) < .02             # of ten numbers with three digits


@pytest.mark.parametrize('row, column', [(0, 0), (30, 40), (59, 79)])
def test_the_player_of_a_pooling_begins_at_the_unit(page, row, column):
    choose_net(page, 1)
    click_mask(page, row, column)
    page.get_by_role('button', name='box pool2', exact=True).click()
    expect(page.locator('.line')).to_have_text(NETS['tiny_8s'].pool2.line)
    value = re.search('= ([\\d.]+), the', page.locator('.terms p').text_content())[1]
    player = page.frame_locator('.steps iframe')
    at = divmod(int(player.locator('[data-frame]').get_attribute('data-frame')), 2)
    cell = player.locator(f'[data-cell=\'["y",{at[0]},{at[1]}]\']')
    assert abs(float(cell.text_content()) - float(value)) <= .006 * float(value)


# title of a way to show an op -> a grid of the player, and the input it is a patch of
@pytest.mark.parametrize('box, way, grid', [
    ('conv2_1', 'as columns', 'x'), ('pool3', 'windows and switches', 'x'),
    ('upscore2', 'each x adds x·w', 'x'), ('upscore2', 'zeros, then a convolution', 'x'),
    ('upscore8', 'as the matrix Mᵀ', 'x'), ('score_fr', 'window by window', 'x[0]')])
def test_the_op_of_a_box_step_by_step(page, box, way, grid):
    choose_net(page, 1)
    click_mask(page, 30, 40)
    page.get_by_role('button', name=f'box {box}', exact=True).click()
    expect(page.locator('.line')).to_have_text(NETS['tiny_8s'][box].line)
    page.get_by_role('button', name=way, exact=True).click()
    player = page.frame_locator('.steps iframe')
    first = 4 if box in ('conv2_1', 'score_fr') else 0  # the middle one of 3×3 outputs
    expect(player.locator('[data-frame]')).to_have_attribute('data-frame', str(first))
    player.get_by_role('button', name='next').click()
    expect(player.locator('[data-frame]')).to_have_attribute('data-frame', str(first + 1))
    cells = player.locator(f'[data-cell^=\'["{grid}",\']')
    shown = {tuple(json.loads(cell.get_attribute('data-cell'))[1:]): number(cell.text_content())
             for cell in cells.all()}
    net = NETS['tiny_8s']
    net.forward(prepare(IMAGE, PREPROCESS), keep=True)
    x = net.values[net[box].inputs[0]][0]
    patch = np.array([value for _, value in sorted(shown.items())])
    high, wide = (last + 1 for last in max(shown))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, [(0, 0), (2, 2), (2, 2)]),
                                                       (high, wide), (1, 2))
    difference = abs(windows - patch.reshape(high, wide)).max((-2, -1))
    assert difference.min() <= .006 * abs(patch).max(), 'a patch of the input of this box'
    if not box.startswith(('conv', 'score')):           # there it has other channels than the sum
        terms = [number(text.split(' × ')[0])
                 for text in page.locator('.terms .sum').all_text_contents()]
        assert terms and all(abs(patch - x).min() <= .006 * abs(patch).max() for x in terms)


def test_a_step_back_and_its_undoing(page):
    choose_net(page, 1)
    click_mask(page, 30, 40)
    page.get_by_label('should be').select_option('flower')
    page.get_by_label('learning rate').fill('-1')
    page.get_by_role('button', name='take the step').click()
    result = page.locator('.result')
    expect(result).to_contain_text('Loss of these pixels')
    before, after = [float(text) for text in re.findall(r'\d+\.\d+', result.text_content())]
    assert after < before
    view = page.get_by_role('button', name='gradients of')
    expect(view).to_have_attribute('aria-pressed', 'true')
    page.get_by_role('button', name='undo all steps').click()
    assert_mask(page, mask_of('tiny_8s'))


def test_a_picture_is_chosen_dropped_and_drawn_on(page, tmp_path):
    choose_net(page, 0)
    other, _ = shapes.generate(0, 5, (60, 80), n_class=5)
    path = tmp_path / 'other.png'
    Image.fromarray(other).save(path)
    page.get_by_label('choose a picture').set_input_files(path)
    wanted = NETS['tiny_32s'].forward(prepare(other, PREPROCESS))[0].argmax(0)
    assert_mask(page, wanted)

    transfer = page.evaluate_handle("""bytes => {
        const transfer = new DataTransfer()
        transfer.items.add(new File([new Uint8Array(bytes)], 'a.png', { type: 'image/png' }))
        return transfer
    }""", [*image_bytes(IMAGE)])
    page.dispatch_event('figure >> nth=0', 'drop', dict(dataTransfer=transfer))
    assert_mask(page, mask_of('tiny_32s'))

    before = page.locator('figure canvas').first.evaluate('canvas => canvas.toDataURL()')
    box = page.locator('figure canvas').first.bounding_box()
    page.mouse.move(box['x'] + 40, box['y'] + 40)
    page.mouse.down()
    page.mouse.move(box['x'] + 160, box['y'] + 120, steps=4)
    page.mouse.up()
    after = page.locator('figure canvas').first.evaluate('canvas => canvas.toDataURL()')
    assert after != before
    page.get_by_role('button', name='first picture').click()
    assert_mask(page, mask_of('tiny_32s'))


def image_bytes(image):
    from io import BytesIO
    file = BytesIO()
    Image.fromarray(image).save(file, 'png')
    return file.getvalue()


def test_a_narrow_screen(page):
    page.set_viewport_size(dict(width=390, height=844))
    wait_until(page, 'document.documentElement.scrollWidth <= innerWidth')
    page.set_viewport_size(dict(width=1280, height=900))


def test_a_phone_is_touched(browser, path):
    context = browser.new_context(viewport=dict(width=390, height=844), has_touch=True,
                                  is_mobile=True, color_scheme='dark', reduced_motion='reduce')
    page = context.new_page()
    problems = []
    page.on('pageerror', lambda error: problems.append(str(error)))
    page.goto(path.as_uri())
    expect(page.locator('table.parts')).to_be_visible(timeout=30_000)
    page.locator('figure canvas').nth(1).tap(position=dict(x=10, y=10))
    expect(page.locator('.pixel')).to_contain_text(re.compile(r'Row \d, column \d '))
    page.get_by_role('button', name='box pool3', exact=True).tap()
    page.frame_locator('.steps iframe').get_by_role('button', name='next').tap()
    expect(page.frame_locator('.steps iframe').locator('[data-frame]')).to_have_attribute(
        'data-frame', '1')
    page.evaluate("window.before = document.querySelector('figure canvas').toDataURL()")
    page.locator('figure canvas').first.tap(position=dict(x=40, y=40))
    wait_until(page, "document.querySelector('figure canvas').toDataURL() !== before")
    assert problems == []
    context.close()


def test_the_calculator(browser, tmp_path):
    net = tinyfcn.build('fcn8s', n_class=21, width=1 / 64, seed=None)
    path = tmp_path / 'crops.html'
    path.write_text(make_calculator({'fcn8s': net}, 'Crops'), 'utf-8')
    page = browser.new_page(viewport=dict(width=390, height=844))
    problems = []
    page.on('pageerror', lambda error: problems.append(str(error)))
    page.goto(path.as_uri())
    crops = page.locator('.crops p').all_text_contents()
    assert [re.search(r': crop (\d+)\. With', text)[1] for text in crops] == ['5', '9', '31']
    assert page.evaluate('document.documentElement.scrollWidth - innerWidth') <= 0
    page.get_by_label('the layers of the net').fill('a = conv(data, 8, 3)\nscore = relu(a)')
    expect(page.locator('tbody tr').last).to_contain_text('score498×498')
    address = page.evaluate('location.href')
    page.get_by_label('the layers of the net').fill('a = conv(data, 8')
    expect(page.locator('.problem')).to_contain_text('line 1')
    expect(page.locator('table')).to_have_class('old')

    page.goto('about:blank')
    page.goto(address)                                  # the link carries the layers
    expect(page.locator('tbody tr').last).to_contain_text('score498×498')
    assert problems == []
    page.close()


def test_what_a_page_cannot_show():
    with pytest.raises(ValueError, match='of several outputs'):
        make_page([Part('a', tinyfcn.build('siftflow_32s', width=1 / 64))], IMAGE, 'a')
    other = random_net('tiny_8s')
    other.about['classes'] = list('abcde')
    with pytest.raises(ValueError, match='knows other classes than'):
        make_page([Part('a', NETS['tiny_8s']), Part('b', other)], IMAGE, 'a')
    other.params['conv1_1.w'][0] = 1e6
    with pytest.raises(ValueError, match='conv1_1.w has values beyond 65504'):
        make_page([Part('a', other)], IMAGE, 'a')
