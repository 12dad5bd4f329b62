"""What a card is asked, asked of the stand-in: `make gpu-check`, the benchmark, the full run.

None of it says that a card computes right, or how fast. It says that on the day when there is one
the scripts run to their end, and would have named what is wrong.
"""
import json
import sys
from argparse import Namespace
from pathlib import Path
from zipfile import ZipFile

import gpu_check
import numpy as np
import pytest
from fake_cupy import use_fake_cupy
from optional_deps import needs_torch
from PIL import Image
from samples import TABLE

from tinyfcn.runtime import backend

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'
sys.path.append(str(BENCHMARKS))
with pytest.MonkeyPatch.context() as patch:             # they ask for two threads; tests need none
    patch.setenv('TINYFCN_THREADS', '1')
    import card
    import gpu_run
    import gpu_tables
    import pack_data

pytestmark = pytest.mark.gpuproof

ROWS = ('conv2d-all-pairs', 'max_pool-padded', 'batch_norm-training', 'dropout-keeps-all',
        'softmax_cross_entropy-both-weights-mean', 'concat-many')


@pytest.fixture
def cupy():
    with use_fake_cupy() as module:
        yield module


# ---- make gpu-check ------------------------------------------------------------------------------

@pytest.mark.parametrize('name', ROWS)
def test_an_op_is_compared_by_body_and_stand_in_in_both_dtypes(cupy, name):
    rows = [*gpu_check.of_op(name, TABLE[name])]
    assert {(row.part, row.dtype) for row in rows} == {
        (part, dtype) for part in ('op, body', 'op, stand-in') for dtype in ('float32', 'float64')}
    assert all(row.fine for row in rows), [*map(str, rows)]


def test_a_card_that_computes_otherwise_is_named(cupy, monkeypatch):
    """By 1e-3, in whatever it is given; and one that gives nothing but nan."""
    for slip in (1.001, np.nan):
        monkeypatch.setattr(gpu_check, 'to_gpu', lambda x, slip=slip: backend.to_gpu(
            x * np.asarray(slip, x.dtype) if x.dtype.kind == 'f' else x))
        rows = [*gpu_check.of_op('conv2d-all-pairs', TABLE['conv2d-all-pairs'])]
        assert not any(row.fine for row in rows)


def test_what_stays_on_the_host_is_named():
    with pytest.raises(TypeError, match='came back to the host'):
        gpu_check.apart([np.zeros(3)], [np.zeros(3)])


def test_what_breaks_does_not_stop_the_others(cupy):
    def broken():
        raise MemoryError('out of memory')

    row = gpu_check.row('net, scores', 'fcn8s', 'float32', broken)
    assert not row.fine and str(row).endswith('float32: MemoryError: out of memory')


@pytest.mark.parametrize('dtype', gpu_check.BARS)
def test_a_net(cupy, dtype):
    rows = [*gpu_check.of_net('tiny_8s', dtype, width=1 / 4, size=(17, 20))]
    assert len(rows) == 2 and all(row.fine for row in rows), [*map(str, rows)]


@pytest.mark.parametrize('optimizer', gpu_check.MOVERS)
def test_a_training(cupy, optimizer):
    rows = [*gpu_check.of_training('tiny_8s', optimizer, 'float64')]
    assert len(rows) == 3 and all(row.fine for row in rows), [*map(str, rows)]


def test_the_same_seed_twice(cupy, monkeypatch):
    row, = gpu_check.twice('tiny_8s')
    assert row.fine, str(row)
    trained, seeds = gpu_check.trained, iter((1e-2, 2e-2))
    monkeypatch.setattr(gpu_check, 'trained', lambda *args: (
        gpu_check.MOVERS['SGD'].update(lr=next(seeds)), trained(*args))[1])
    row, = gpu_check.twice('tiny_8s')
    assert row.error > 0 and not row.fine


def test_the_block_and_where_it_goes():
    rows = [gpu_check.Row('op, body', 'conv2d-0', 'float32', 1e-7, 1e-4),
            gpu_check.Row('op, body', 'conv2d-1', 'float32', 3e-4, 1e-4),
            gpu_check.Row('net, scores', 'fcn8s', 'float64', np.nan, 1e-10)]
    text = '\n'.join(gpu_check.block(rows, ['a card', 'CuPy 14'])) + '\n'
    assert 'UTC: 2 FAILED' in text and 'a card; CuPy 14.' in text
    assert '| op, body | float32 | 2 | 3.0e-04 | conv2d-1 | 0.0001 |' in text
    assert '- FAILED: net, scores, fcn8s, float64: nan apart' in text
    page = gpu_check.PAGE.read_text('utf-8')
    once = gpu_check.written(page, text)
    twice = gpu_check.written(once, text.replace('2 FAILED', 'all fine'))
    assert twice.index('all fine') < twice.index('2 FAILED')
    assert gpu_check.NONE_YET.strip() not in twice.splitlines()
    assert twice.startswith(page[:page.index(gpu_check.HEADING)])


def test_without_a_card_it_ends_with_the_remedy(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['gpu_check.py'])
    monkeypatch.setitem(sys.modules, 'cupy', None)
    with pytest.raises(SystemExit, match='no card to check, wheel: .*pip install'):
        gpu_check.main()


# ---- the full run --------------------------------------------------------------------------------

def picture(path, size=(32, 40), mode='RGB', classes=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng, image = np.random.default_rng(len(path.name)), path.suffix == '.jpg'
    shape = (*size, 3) if image else size
    pixels = rng.integers(0, 256 if image else classes, shape).astype('uint8')
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Folders as the real ones lie, a few pictures each."""
    root = tmp_path_factory.mktemp('data')
    for split, count in dict(train=4, val=2).items():
        for i in range(count):
            picture(root / 'camvid' / split / f'{i}.jpg')
            picture(root / 'camvid' / f'{split}annot' / f'{i}.png')
    for folder in 'voc_native', 'voc_animals':
        names = [f'2007_{i:06}' for i in range(12)]
        for name in names:
            picture(root / folder / 'JPEGImages' / f'{name}.jpg')
            picture(root / folder / 'SegmentationClass' / f'{name}.png')
        listed = root / folder / 'ImageSets' / 'Segmentation' / 'train.txt'
        listed.parent.mkdir(parents=True)
        listed.write_text('\n'.join(names) + '\n', 'utf-8')
    (root / 'weights').mkdir()
    np.savez(root / 'weights' / 'squeezenet_v1.1.npz', nothing=np.zeros(1))
    return root


def test_the_archive_keeps_its_size_and_says_what_it_left_out(data, tmp_path):
    whole = pack_data.pack(data, tmp_path / 'all.zip')
    assert whole['voc_animals'] == '12 of 12 images, at random'
    most = (tmp_path / 'all.zip').stat().st_size
    part = pack_data.pack(data, tmp_path / 'some.zip', most)
    kept = int(part['voc_animals'].split()[0])
    assert 0 < kept < 12 and (tmp_path / 'some.zip').stat().st_size <= most
    with ZipFile(tmp_path / 'some.zip') as archive:
        names = archive.read(str(pack_data.LIST)).decode().split()
        assert len(names) == kept and json.loads(archive.read(pack_data.NOTE)) == part
        for name in names:
            archive.getinfo(f'voc_animals/JPEGImages/{name}.jpg')
            archive.getinfo(f'voc_animals/SegmentationClass/{name}.png')
    with pytest.raises(ValueError, match='without voc_animals it has .* bytes more than 1,000'):
        pack_data.pack(data, tmp_path / 'none.zip', 1000)


def full_run(data, out, *more):
    pack_data.pack(data, out / 'data.zip')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['gpu_run.py', str(out / 'data.zip'), '--out', str(out), *more])
        gpu_run.main()
    return json.loads((out / 'gpu_run.json').read_text('utf-8'))


def test_the_full_run_dry_on_the_cpu(data, tmp_path):
    found = full_run(data, tmp_path, '--device', 'cpu', '--steps', '2', '--width', '1/16')
    assert [row['part'] for row in found['rows']] == [part for part, *_ in gpu_run.stages()]
    assert all(row['recipe']['steps'] == 2 and len(row['losses']) == 2 for row in found['rows'])
    pages = {path.stem for path in tmp_path.glob('*.png')}
    assert pages == {'gpu_run', *(part.replace(' ', '-') for part in gpu_run.SHARES)}
    assert not [*tmp_path.glob('*.safetensors')]                # no weights come back
    lines = [*gpu_tables.markdown_section(dict(gpu_run=found))]
    assert sum(line.startswith('| camvid') for line in lines) == 6


def test_a_part_of_it_on_the_stand_in(cupy, data, tmp_path):
    """Here with no --steps: the pace of a copy says how many there is time for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_run, 'WARM', 1)
        patch.setattr(gpu_run, 'PACED', 1)
        found = full_run(data, tmp_path, '--parts', 'scratch', '--width', '1/16', '--seconds', '1')
    row, = found['rows']
    assert 'no GPU: the host computes' in found['card']
    assert 1 <= row['recipe']['steps'] < 40_000 and row['epochs'] > 0


# ---- the benchmark -------------------------------------------------------------------------------

@pytest.fixture
def small(monkeypatch):
    """benchmarks/gpu.py on the CPU, with little to do."""
    import gpu
    monkeypatch.setattr(gpu, 'BATCHES', (1,))
    monkeypatch.setattr(card, 'ENOUGH', 1e-9)           # once is often enough
    monkeypatch.setattr('timing.collect', int)        # a tenth of a second, hundreds of times
    net = gpu.random_net('fcn8s', width=1 / 32)
    return gpu, net, gpu.gpu_rivals.twins_of(net, 'cpu'), Namespace(
        device='cpu', size=(24, 32), precisions=['float32'], budget=0., compiling=0.,
        compiler='eager', left=lambda: 1.)


@needs_torch
def test_nets_beside_pytorch_eager_and_compiled(small):
    gpu, net, twins, args = small
    rows = [*gpu.nets(net, twins, args)]
    assert [row['what'] for row in rows] == ['forward', 'step']
    assert all({*row['times']} == {*gpu_tables.NAMES} for row in rows), rows
    compiled = [*gpu.compiled(net, twins, rows, args)]
    assert all({*row['times']} == {'tinyfcn', row['layout']} for row in compiled), compiled
    args.left = lambda: -1.
    late = [*gpu.compiled(net, twins, rows, args)]
    assert [row['failed'] for row in late] == ['no time was left'] * 2
    found = dict(card='a card', machine=dict(torch='2'), size=[24, 32], nets=rows, compiled=late,
                 ceilings=[{'copy': 1e12, 'product, float32': 1e12}])
    assert '| float32 | 1 | forward | ' in '\n'.join(gpu_tables.markdown_section(dict(gpu=found)))


@needs_torch
def test_one_graph_is_all_that_is_compiled_and_it_gives_our_scores(small):
    import torch
    gpu, net, twins, args = small
    image, _ = gpu.random_batch(net, args.size)
    run = gpu.gpu_rivals.forwards({'PyTorch': twins['PyTorch']}, image, lambda module: (
        torch.compile(module, backend='eager', fullgraph=True)))['PyTorch']
    gpu.assert_close(net.forward(image), run().numpy(), 'PyTorch')


@needs_torch
def test_a_rival_with_other_scores_is_not_timed(small):
    gpu, net, twins, args = small
    net.params['score_fr.b'] += 1.
    row = next(gpu.nets(net, twins, args))
    assert 'times' not in row and 'differs from tinyfcn' in row['failed']
    found = dict(card='a card', machine=dict(torch='2'), size=[24, 32], nets=[row],
                 ceilings=[{'copy': 1e12, 'product, float32': 1e12}])
    assert 'differs from tinyfcn' in '\n'.join(gpu_tables.markdown_section(dict(gpu=found)))


@needs_torch
def test_every_op_of_the_net_beside_pytorch_and_its_floor(small):
    gpu, net, _, args = small
    rows = [*gpu.layers(net, args.size, 'cpu', 0.)]
    ops = {row['layer']: row for row in rows if row['what'] == 'forward'}
    k, c = net.params['conv1_2.w'].shape[:2]
    h, w = net.sizes(args.size)['conv1_2']
    assert ops['conv1_2']['sums'] == 2 * k * c * 9 * h * w
    assert ops['relu1_1']['bytes'] == 4 * 2 * k * h * w
    assert {'conv1_1', 'fc6', 'pool1', 'drop6', 'upscore8'} <= {*ops}
    lines = [*gpu_tables.layers(rows, {'copy': 1e12, 'product, float32': 1e12})]
    assert len(lines) == len(rows) + 4


def test_ceilings_count_what_is_moved_and_added(cupy):
    for device in 'cpu', 'gpu':
        found = card.ceilings(device, size=64, copied=1 << 16)
        assert found['copy'] > 0 and found['product, float32'] > 0
        assert ('product, tf32' in found) == (device == 'gpu')
