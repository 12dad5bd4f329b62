"""The player: its states, its page, its last frame without a script, its animated GIF."""
import html
import json
import re

import numpy as np
import pytest
from PIL import Image
from sample_players import PLAYERS, two_cells, unpack

from tinyfcn.course import tracing
from tinyfcn.course.player import format_number
from tinyfcn.course.player.page import share_parts

each = pytest.mark.parametrize('name', PLAYERS)


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


@pytest.mark.parametrize('name', [name for name, player in PLAYERS.items()
                                  if any('sums' in f for f in player.trace['frames'])])
def test_the_terms_of_each_sum_give_its_value(name):
    player = PLAYERS[name]
    before = {grid['name']: grid['values'] for grid in player.trace['grids']}
    for n, frame in enumerate(player.trace['frames']):
        state = player[n]
        for each_sum in frame['sums']:
            grid, i, j = each_sum['cell']
            terms = [np.prod([state[g][a][b] for g, a, b in cells]) for cells in each_sum['terms']]
            how = each_sum.get('how', 'sum')
            value = dict(sum=sum, add=sum, max=max, mean=np.mean, copy=sum)[how](terms)
            value += before[grid][i][j] if how == 'add' else 0
            np.testing.assert_allclose(state[grid][i][j], value, atol=1e-14)
        before = state


@pytest.mark.parametrize('value, text', [
    (None, ''), (7., '7'), (-3, '−3'), (0., '0'), (-0., '0'), (1234567., '1234567'), (1e9, '1e9'),
    (1/3, '0.333'), (-2/3, '−0.667'), (1230.5, '1230'), (99.96, '100'), (.00012, '0.00012'),
    (-1.234e-7, '−1.23e−7'), (float('inf'), '∞'), (float('-inf'), '−∞'), (float('nan'), 'nan'),
    ('already', 'already')])
def test_numbers_are_short(value, text):
    assert format_number(value) == text


# ---- its page -----------------------------------------------------------------------------------

@each
def test_a_page_loads_nothing_and_is_packed(name):
    page = PLAYERS[name].page()
    urls = set(re.findall(r'https?://[^\s\'")]+', page))
    assert urls <= {'http://www.w3.org/2000/svg', 'http://www.w3.org/1998/Math/MathML'}
    assert 'import' not in page and '@font-face' not in page
    assert page.startswith('<!doctype html>') and page.count('</script>') == 1
    output = PLAYERS[name]._repr_html_()
    assert unpack(output)[0] == page
    assert len(output) < 30_000, 'a lesson may have 100 kB of outputs'


def test_players_of_one_notebook_share_their_scripts():
    names = 'scatter', 'zero_insert', 'matrix', 'fusion'
    outputs = [PLAYERS[name]._repr_html_() for name in names]
    shared = [*share_parts(['<p>no player</p>', *outputs])]
    assert shared[0] == '<p>no player</p>' and shared[1] == outputs[0]
    assert all(len(output) - len(short) > 10_000
               for short, output in zip(shared[2:4], outputs[1:]))
    assert shared[4] == outputs[3], 'it has no part in common with the others'
    names = re.findall(r'(data-[\w-]+-[0-9a-f]{8})="', ''.join(shared))
    assert len(names) == len({*names}) == 7


def test_titles_and_captions_are_escaped():
    script = '</script><b title="\'">&amp;'
    player = two_cells(title=script)
    player.trace['frames'][0]['caption'] = script
    page = player.page()
    assert page.count('</script>') == 1 and '<b ' not in page
    assert f'<title>{html.escape(script)}</title>' in page
    embedded, before = unpack(player._repr_html_())
    assert embedded == page
    assert '<script' not in before and '<b title' not in before


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


# ---- its last frame, where no script runs -------------------------------------------------------

def rows_of(table):
    """The texts of the cells of an HTML table."""
    return [[html.unescape(re.sub('<[^>]*>', '', cell)) for cell in re.split('<td[^>]*>', row)[1:]]
            for row in table.split('<tr>')[1:]]


@each
def test_the_last_frame_is_there_without_a_script(name):
    player = PLAYERS[name]
    _, before = unpack(player._repr_html_())
    assert before.startswith('<div class="player-still">') and before.endswith('</div>')
    assert '<script' not in before and '<iframe' not in before
    assert html.escape(player.trace['title']) in before
    assert f'<p>{html.escape(player.trace["frames"][-1]["caption"])}</p>' in before
    if player.trace['kind'] == 'grid':
        tables = re.findall('<table.*?</table>', before, re.S)
        shown = [rows_of(table) for table in tables]
        wanted = [[[format_number(value) for value in row] for row in player[-1][grid['name']]]
                  for row_number in sorted({grid['row'] for grid in player.trace['grids']})
                  for grid in player.trace['grids'] if grid['row'] == row_number]
        assert shown == wanted


def test_the_last_frame_colours_what_is_written_and_what_is_read():
    _, before = unpack(two_cells()._repr_html_())
    assert before.count('style="background:#39f4">7') == 1
    assert '<td>1.5' in before


# ---- its animated GIF ---------------------------------------------------------------------------

@each
def test_the_gif_has_every_frame(name, tmp_path):
    path = tmp_path / 'a.gif'
    player = PLAYERS[name]
    player.save(path)
    assert path.stat().st_size < 300_000
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


