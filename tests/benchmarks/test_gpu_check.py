"""The scripts for a GPU, run without one: `make gpu-check`, the benchmark, the full run.

They run on the fake CuPy or on the CPU. So on a GPU the scripts will run to their end and report
what is wrong. These tests say nothing about the rounding and the speed of a GPU.
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

from tinyfcn.runtime.gpu import to_gpu

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'
sys.path.append(str(BENCHMARKS))
with pytest.MonkeyPatch.context() as patch:             # the benchmarks use two; tests need one
    patch.setenv('TINYFCN_THREADS', '1')
    import gpu_run
    import gpu_tables
    import gpu_timing
    import pack_data

pytestmark = pytest.mark.gpuproof

SAMPLES = ('conv2d-all-pairs', 'max_pool-padded', 'batch_norm-training', 'dropout-keeps-all',
        'softmax_cross_entropy-both-weights-mean', 'concat-many')


@pytest.fixture
def cupy():
    with use_fake_cupy() as module:
        yield module


# ---- make gpu-check ------------------------------------------------------------------------------

@pytest.mark.parametrize('name', SAMPLES)
def test_an_op_is_checked_by_reference_and_kernel_in_both_dtypes(cupy, name):
    rows = [*gpu_check.check_op(name, TABLE[name])]
    assert {(row.part, row.dtype) for row in rows} == {
        (part, dtype) for part in ('op, reference', 'op, kernel')
        for dtype in ('float32', 'float64')}
    assert all(row.ok for row in rows), [*map(str, rows)]


def test_a_wrong_result_is_reported(cupy, monkeypatch):
    """Inputs that are wrong by 1e-3, and inputs that are NaN."""
    for factor in (1.001, np.nan):
        monkeypatch.setattr(gpu_check, 'to_gpu', lambda x, factor=factor: to_gpu(
            x * np.asarray(factor, x.dtype) if x.dtype.kind == 'f' else x))
        rows = [*gpu_check.check_op('conv2d-all-pairs', TABLE['conv2d-all-pairs'])]
        assert not any(row.ok for row in rows)


def test_a_result_on_the_host_is_reported():
    with pytest.raises(TypeError, match='on the host'):
        gpu_check.largest_error([np.zeros(3)], [np.zeros(3)])


def test_an_exception_is_a_failed_row(cupy):
    def broken():
        raise MemoryError('out of memory')

    row = gpu_check.measure('net, scores', 'fcn8s', 'float32', broken)
    assert not row.ok and str(row).endswith('float32: MemoryError: out of memory')


@pytest.mark.parametrize('dtype', gpu_check.TOLERANCES)
def test_a_net(cupy, dtype):
    rows = [*gpu_check.check_net('tiny_8s', dtype, width=1 / 4, size=(17, 20))]
    assert len(rows) == 2 and all(row.ok for row in rows), [*map(str, rows)]


@pytest.mark.parametrize('optimizer', gpu_check.OPTIMIZERS)
def test_a_training(cupy, optimizer):
    rows = [*gpu_check.check_training('tiny_8s', optimizer, 'float64')]
    assert len(rows) == 3 and all(row.ok for row in rows), [*map(str, rows)]


def test_two_runs_with_one_seed_agree(cupy, monkeypatch):
    row, = gpu_check.check_determinism('tiny_8s')
    assert row.ok, str(row)
    train_net = gpu_check.train_net
    rates = iter((1e-2, 2e-2))

    def train_at_another_rate(*args):
        monkeypatch.setitem(gpu_check.OPTIMIZERS, 'SGD', dict(lr=next(rates)))
        return train_net(*args)

    monkeypatch.setattr(gpu_check, 'train_net', train_at_another_rate)
    row, = gpu_check.check_determinism('tiny_8s')
    assert row.error > 0 and not row.ok


def test_a_new_section_stands_above_the_earlier_ones():
    rows = [gpu_check.Row('op, reference', 'conv2d-0', 'float32', 1e-7, 1e-4),
            gpu_check.Row('op, reference', 'conv2d-1', 'float32', 3e-4, 1e-4),
            gpu_check.Row('net, scores', 'fcn8s', 'float64', np.nan, 1e-10)]
    text = '\n'.join(gpu_check.markdown_section(rows, ['a GPU', 'CuPy 14'])) + '\n'
    assert 'UTC: 2 FAILED' in text and 'a GPU; CuPy 14.' in text
    assert '| op, reference | float32 | 2 | 3.0e-04 | conv2d-1 | 0.0001 |' in text
    assert '- FAILED: net, scores, fcn8s, float64: error nan' in text
    page = gpu_check.STATUS_FILE.read_text('utf-8')
    once = gpu_check.insert_section(page, text)
    twice = gpu_check.insert_section(once, text.replace('2 FAILED', 'all passed'))
    assert twice.index('all passed') < twice.index('2 FAILED')
    assert gpu_check.NONE_YET.strip() not in twice.splitlines()
    assert twice.startswith(page[:page.index(gpu_check.HEADING)])


def test_without_a_gpu_it_exits_with_the_remedy(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['gpu_check.py'])
    monkeypatch.setitem(sys.modules, 'cupy', None)
    with pytest.raises(SystemExit, match='wheel: .*pip install'):
        gpu_check.main()


# ---- the full run --------------------------------------------------------------------------------

def save_image(path, size=(32, 40), mode='RGB', classes=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    is_image = path.suffix == '.jpg'
    shape = (*size, 3) if is_image else size
    pixels = rng.integers(0, 256 if is_image else classes, shape).astype('uint8')
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Folders like those of the real data sets, a few images each."""
    root = tmp_path_factory.mktemp('data')
    for split, count in dict(train=4, val=2).items():
        for i in range(count):
            save_image(root / 'camvid' / split / f'{i}.jpg')
            save_image(root / 'camvid' / f'{split}annot' / f'{i}.png')
    for folder in 'voc_native', 'voc_animals':
        names = [f'2007_{i:06}' for i in range(12)]
        for name in names:
            save_image(root / folder / 'JPEGImages' / f'{name}.jpg')
            save_image(root / folder / 'SegmentationClass' / f'{name}.png')
        listed = root / folder / 'ImageSets' / 'Segmentation' / 'train.txt'
        listed.parent.mkdir(parents=True)
        listed.write_text('\n'.join(names) + '\n', 'utf-8')
    (root / 'weights').mkdir()
    np.savez(root / 'weights' / 'squeezenet_v1.1.npz', nothing=np.zeros(1))
    return root


def test_the_archive_keeps_its_size_and_says_what_it_contains(data, tmp_path):
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


def full_run(data, out, *options):
    pack_data.pack(data, out / 'data.zip')
    with pytest.MonkeyPatch.context() as patch:
        arguments = [str(out / 'data.zip'), '--out', str(out), *options]
        patch.setattr(sys, 'argv', ['gpu_run.py', *arguments])
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


def test_a_part_of_it_on_the_fake_gpu(cupy, data, tmp_path):
    """Without --steps: the speed of a copy decides how many steps there is time for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_run, 'WARM_UP_STEPS', 1)
        patch.setattr(gpu_run, 'TIMED_STEPS', 1)
        found = full_run(data, tmp_path, '--parts', 'scratch', '--width', '1/16', '--seconds', '1')
    row, = found['rows']
    assert 'no GPU: the host computes' in found['gpu']
    assert 1 <= row['recipe']['steps'] < 40_000 and row['epochs'] > 0


# ---- the benchmark -------------------------------------------------------------------------------

@pytest.fixture
def small(monkeypatch):
    """benchmarks/gpu.py on the CPU, with a tiny net."""
    import gpu
    monkeypatch.setattr(gpu, 'BATCHES', (1,))
    monkeypatch.setattr(gpu_timing, 'MIN_SECONDS', 1e-9)      # one repetition is enough
    monkeypatch.setattr('timing.collect', int)        # a tenth of a second, hundreds of times
    net = gpu.random_net('fcn8s', width=1 / 32)
    return gpu, net, gpu.gpu_torch.make_torch_nets(net, 'cpu'), Namespace(
        device='cpu', size=(24, 32), precisions=['float32'], budget=0., min_compile_seconds=0.,
        compiler='eager', seconds_left=lambda: 1.)


@needs_torch
def test_nets_beside_pytorch_eager_and_compiled(small):
    gpu, net, torch_nets, args = small
    rows = [*gpu.time_nets(net, torch_nets, args)]
    assert [row['what'] for row in rows] == ['forward', 'step']
    assert all({*row['times']} == {*gpu_tables.NAMES} for row in rows), rows
    compiled = [*gpu.time_compiled(net, torch_nets, rows, args)]
    assert all({*row['times']} == {'tinyfcn', row['layout']} for row in compiled), compiled
    args.seconds_left = lambda: -1.
    late = [*gpu.time_compiled(net, torch_nets, rows, args)]
    assert [row['failed'] for row in late] == ['no time was left'] * 2
    found = dict(gpu='a GPU', machine=dict(torch='2'), size=[24, 32], nets=rows, compiled=late,
                 ceilings=[{'copy': 1e12, 'product, float32': 1e12}])
    assert '| float32 | 1 | forward | ' in '\n'.join(gpu_tables.markdown_section(dict(gpu=found)))


@needs_torch
def test_the_compiled_net_is_one_graph_and_gives_the_same_scores(small):
    import torch
    gpu, net, torch_nets, args = small
    image, _ = gpu.random_batch(net, args.size)
    run = gpu.gpu_torch.forwards({'PyTorch': torch_nets['PyTorch']}, image, lambda module: (
        torch.compile(module, backend='eager', fullgraph=True)))['PyTorch']
    gpu.assert_close(net.forward(image), run().numpy(), 'PyTorch')


@needs_torch
def test_a_net_with_other_scores_is_not_timed(small):
    gpu, net, torch_nets, args = small
    net.params['score_fr.b'] += 1.
    row = next(gpu.time_nets(net, torch_nets, args))
    assert 'times' not in row and 'differs from tinyfcn' in row['failed']
    found = dict(gpu='a GPU', machine=dict(torch='2'), size=[24, 32], nets=[row],
                 ceilings=[{'copy': 1e12, 'product, float32': 1e12}])
    assert 'differs from tinyfcn' in '\n'.join(gpu_tables.markdown_section(dict(gpu=found)))


@needs_torch
def test_every_op_of_the_net_beside_pytorch_and_its_floor(small):
    gpu, net, _, args = small
    rows = [*gpu.layers(net, args.size, 'cpu', 0.)]
    ops = {row['layer']: row for row in rows if row['what'] == 'forward'}
    k, c = net.params['conv1_2.w'].shape[:2]
    h, w = net.sizes(args.size)['conv1_2']
    assert ops['conv1_2']['flops'] == 2 * k * c * 9 * h * w
    assert ops['relu1_1']['bytes'] == 4 * 2 * k * h * w
    assert {'conv1_1', 'fc6', 'pool1', 'drop6', 'upscore8'} <= {*ops}
    lines = [*gpu_tables.layers_section(rows, {'copy': 1e12, 'product, float32': 1e12})]
    assert len(lines) == len(rows) + 4


def test_ceilings_count_bytes_and_flops(cupy):
    for device in 'cpu', 'gpu':
        found = gpu_timing.ceilings(device, size=64, copied=1 << 16)
        assert found['copy'] > 0 and found['product, float32'] > 0
        assert ('product, tf32' in found) == (device == 'gpu')
