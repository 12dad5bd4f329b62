"""docs/seven-loops.md: its steps compute one convolution, and it shows what the script measured."""
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyfcn import ops
from tinyfcn.dispatch import exact

pytest.importorskip('tinyfcn.kernels.cpu.simd', exc_type=ImportError)
ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / 'benchmarks'))
with pytest.MonkeyPatch.context() as patch:             # the script sets TINYFCN_THREADS
    patch.setenv('TINYFCN_THREADS', '1')
    import seven_loops
    from seven_loops import SHAPES, STEPS

PAGE = seven_loops.PAGE.read_text('utf-8')


def largest_error(y, x, w):
    """Beside the largest value, where float64 has both."""
    expected, _ = ops.conv2d.reference(x.astype('float64'), w.astype('float64'))
    assert y.shape == expected.shape
    return abs(y - expected).max() / abs(expected).max()


@pytest.mark.parametrize('step', STEPS, ids=[step.name for step in STEPS])
def test_a_step_computes_the_convolution(step):
    """Of sizes that no tile and no vector divides."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 8, 19), dtype='float32')
    w = rng.standard_normal((37, 3, 3, 3), dtype='float32')
    x = seven_loops.lay_out(x, step.is_channels_last)
    assert largest_error(step.function(x, w), x, w) < 2e-6


@pytest.mark.compiled
@pytest.mark.parametrize('shape', SHAPES)
def test_a_tile_of_any_shape_computes_the_convolution(shape):
    x, w = seven_loops.random_layer(5, 37, 19)
    x = seven_loops.lay_out(x, True)
    assert largest_error(seven_loops.tiles(x, w, shape), x, w) < 2e-6


def test_the_last_step_is_winograd_and_rounds_as_the_page_says():
    x, w = seven_loops.random_layer(seven_loops.CHANNELS, seven_loops.FILTERS, seven_loops.SIZE)
    y = seven_loops.library(x, w)
    assert 'on this layer 1.5e-6 of the largest value' in PAGE
    assert 1.25e-6 < largest_error(y[:, :8], x, w[:8]) < 1.75e-6      # of some filters, for brevity
    with exact():
        assert not np.array_equal(seven_loops.library(x, w), y)


def test_the_script_runs(tmp_path, monkeypatch):
    """On a small layer; the page and the figure get what it prints."""
    monkeypatch.setattr(seven_loops, 'SHAPES', {seven_loops.SHAPE: 1})
    monkeypatch.setattr(seven_loops, 'MEGABYTES', 1)
    found = json.loads(json.dumps(seven_loops.measure(4, 16, 16, rounds=1)))
    assert found['seconds'].keys() == found['gflops'].keys() == {step.name for step in STEPS}
    assert min(found['gflops'].values()) > 0 and found['columns'] > 0
    sections = seven_loops.markdown_sections(found, dict(cpu='a CPU', date='2026-11-30T12:00'))
    page = seven_loops.fill_in(PAGE, sections)
    assert 'a CPU, 2026-11-30: ' in page and all(text in page for text in sections.values())
    seven_loops.draw(tmp_path / 'figure.png', found)
    with Image.open(tmp_path / 'figure.png') as figure:
        assert figure.width > 1000 and len(figure.convert('L').getcolors()) > len(STEPS)


# ---- The page that is committed

def test_the_code_on_the_page_is_that_of_the_script_and_of_the_tile():
    files = [ROOT / 'benchmarks/seven_loops.py', ROOT / 'tinyfcn/kernels/cpu/tile.py']
    sources = [strip_indent(path.read_text('utf-8')) for path in files]
    blocks = [block for block in re.findall(r'^```(?:python)?\n(.*?)^```', PAGE, re.M | re.S)
              if not block.startswith(('>>> ', 'python '))]
    assert len(blocks) == 9
    for block in blocks:
        assert any(strip_indent(block) in source for source in sources), block


def strip_indent(text):
    return re.sub('^ +', '', text, flags=re.M)


def test_the_page_shows_the_results_that_are_stored():
    stored = json.loads((seven_loops.RESULTS / 'seven_loops.json').read_text('utf-8'))
    sections = seven_loops.markdown_sections(stored['rows'], stored['machine'])
    for name, text in sections.items():
        assert PAGE.count(f'<!-- {name} -->\n{text}<!-- end -->') == 1
    assert PAGE.count('<!-- end -->') == len(sections)
