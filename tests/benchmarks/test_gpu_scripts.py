"""The scripts for a GPU without one: on the CPU, their reports, what they say where no GPU is."""
import json
import sys
from pathlib import Path
from time import monotonic
from zipfile import ZipFile

import gpu_check
import numpy as np
import pytest
from gpu_run_data import write_data
from optional_deps import needs_torch

sys.path.append(str(Path(__file__).parents[2] / 'benchmarks'))
with pytest.MonkeyPatch.context() as patch:             # the benchmarks use two; tests need one
    patch.setenv('TINYFCN_THREADS', '1')
    import gpu_run
    import gpu_tables
    import gpu_timing
    import pack_data
    from gpu_jobs import Log, read_log, run_jobs

pytestmark = pytest.mark.gpuproof


# ---- make gpu-check ------------------------------------------------------------------------------

def test_a_result_on_the_host_is_reported():
    with pytest.raises(TypeError, match='on the host'):
        gpu_check.largest_error([np.zeros(3)], [np.zeros(3)])


def test_a_new_section_stands_above_the_earlier_ones():
    rows = [gpu_check.Row('op, reference', 'conv2d-0', 'float32', 1e-7, 1e-4),
            gpu_check.Row('op, reference', 'conv2d-1', 'float32', 3e-4, 1e-4),
            gpu_check.Row('net, scores', 'fcn8s', 'float64', np.nan, 1e-10)]
    machine = dict(part='machine', hardware=['a GPU', 'CuPy 14'])
    log = Log({'machine': [machine], 'ops and nets': [row._asdict() for row in rows]},
              planned=['op conv2d-0', 'net fcn8s', 'net unet'], ended={'op conv2d-0', 'net fcn8s'},
              failed={'op relu-0': 'its process was killed by SIGSEGV'})
    text = '\n'.join(gpu_check.markdown_section(log)) + '\n'
    assert 'UTC: 3 FAILED' in text and 'a GPU; CuPy 14.' in text
    assert '| op, reference | float32 | 2 | 3.0e-04 | conv2d-1 | 0.0001 |' in text
    assert '- FAILED: net, scores, fcn8s, float64: error nan' in text
    assert '- FAILED: op relu-0: its process was killed by SIGSEGV' in text
    assert '- No time was left for 1 of 3; the first are net unet' in text
    page = gpu_check.STATUS_FILE.read_text('utf-8')
    once = gpu_check.insert_section(page, text)
    twice = gpu_check.insert_section(once, text.replace('3 FAILED', 'all passed'))
    assert twice.index('all passed') < twice.index('3 FAILED')
    assert gpu_check.NONE_YET.strip() not in twice.splitlines()
    assert twice.startswith(page[:page.index(gpu_check.HEADING)])


def test_the_most_wanted_jobs_come_first_and_each_has_its_own_name():
    first, *names = [job.name for job in gpu_check.make_jobs(gpu_check.PARTS)]
    assert first == 'machine' and len({*names}) == len(names) > 600
    assert {name.split(',')[0].split('-')[0] for name in names[:10]} == {
        'net fcn8s', 'net segnet_basic', 'op softmax_cross_entropy', 'op winograd'}
    assert 'two runs of segnet_basic' in names and names[-1] == 'fcn8s at full width'


def test_after_a_cuda_error_a_check_ends(monkeypatch):
    """The rows behind it would fail for no fault of their own."""
    bad = gpu_check.Row('op, kernel', 'conv2d-0', 'float32', np.inf, 1e-4, 'illegal address')
    monkeypatch.setattr(gpu_check, 'is_usable', lambda: False)
    rows = gpu_check.check_until_unusable(lambda: iter([bad, bad]))
    assert next(rows) == bad._asdict()
    with pytest.raises(OSError, match='cannot compute on the GPU any more'):
        next(rows)
    monkeypatch.setattr(gpu_check, 'is_usable', lambda: True)
    assert len([*gpu_check.check_until_unusable(lambda: iter([bad, bad]))]) == 2


def test_without_a_gpu_it_exits_with_the_remedy(monkeypatch, tmp_path):
    (tmp_path / 'cupy.py').write_text("raise ImportError('no CuPy', name='cupy')")
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setattr(sys, 'argv', ['gpu_check.py', '--out', str(tmp_path), '--write'])
    with pytest.raises(SystemExit, match='wheel: .*pip install'):
        gpu_check.main()


# ---- the full run --------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp('data'))


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


def test_the_full_run_dry_on_the_cpu(data, tmp_path):
    pack_data.pack(data, tmp_path / 'data.zip')
    out = tmp_path / 'out'
    out.mkdir()
    options = ['--out', out, '--device', 'cpu', '--steps', 2, '--width', '1/16']
    log = gpu_run.train_all([str(tmp_path / 'data.zip'), *map(str, options)], 300)
    assert not log.failed and not log.not_run and not log.stopped, log
    rows = gpu_tables.rows_of(log, 'stage')
    assert [(row['name'], row['stage']) for row in rows] == [
        (part, stage) for part, stage, _ in gpu_run.stages()]
    assert all(row['steps'] == len(row['losses']) == 2 for row in rows)
    pages = {path.stem for path in (out / 'pages').iterdir()}
    assert pages == {part.replace(' ', '-') for part in gpu_run.SHARES}
    assert {path.name for path in out.iterdir()} == {    # no weights come back
        'gpu_run.jsonl', 'gpu_run.txt', 'gpu_run.png', 'pages'}
    lines = [*gpu_tables.markdown_section(dict(gpu_run=log))]
    assert sum(line.startswith('| camvid') for line in lines) == 6


@pytest.mark.parametrize('least, seconds, steps', [
    (1, 10, 64),                # a tenth is left aside, and the second of the evaluation
    (85, 10, 85), (112, 10, 112), (113, 10, 64),    # 15 seconds allow 112 and the evaluation
    (1, .5, 1), (1, 1000, 200)])
def test_a_stage_takes_as_many_steps_as_its_time_allows(least, seconds, steps):
    recipe = gpu_run.recipes.Recipe(lr=.1, steps=200)
    assert gpu_run.plan_steps(recipe, least, seconds, of_step=.125, of_evaluation=1) == steps


# ---- the benchmark -------------------------------------------------------------------------------

@pytest.fixture
def small(monkeypatch):
    """benchmarks/gpu.py on the CPU, with a tiny net."""
    import gpu
    monkeypatch.setattr(gpu_timing, 'MIN_SECONDS', 1e-9)      # one repetition is enough
    monkeypatch.setattr('timing.collect', int)        # a tenth of a second, hundreds of times
    gpu.device_nets.cache_clear()
    args = gpu.parse_args(['--device', 'cpu', '--width', '1/32', '--size', '24', '32'])
    args.precisions = ['float32']
    args.batches = [1]
    args.budget = 0.
    args.host_rounds = 1
    args.compile_seconds = 0.
    args.compiler = 'eager'
    args.torch, args.without_torch = gpu.import_torch('cpu')
    return gpu, args


def run_part(gpu, args, part, tmp_path):
    """-> the Log of a part"""
    args.log = tmp_path / 'gpu.jsonl'
    args.parts = [part]
    run_jobs(gpu.make_jobs(args), args.log, monotonic() + 600)
    return read_log(args.log)


@needs_torch
def test_nets_beside_pytorch_eager_and_compiled(small, tmp_path):
    gpu, args = small
    log = run_part(gpu, args, 'nets', tmp_path)
    rows = gpu_tables.rows_of(log, 'nets')
    assert [row['what'] for row in rows] == ['forward', 'step']
    assert all({*row['times']} == {*gpu_tables.NAMES} for row in rows), rows
    log = run_part(gpu, args, 'compiled', tmp_path)
    compiled = gpu_tables.rows_of(log, 'compiled')
    assert all({*row['times']} == {'tinyfcn', row['layout']} for row in compiled), compiled
    assert len(compiled) == 2 and not log.failed, log.failed
    assert '| float32 | 1 | forward | ' in '\n'.join(gpu_tables.markdown_section(dict(gpu=log)))


def test_without_pytorch_tinyfcn_alone_is_timed(small, tmp_path):
    gpu, args = small
    args.torch, args.without_torch = None, 'PyTorch finds no GPU'
    for part in gpu.PARTS:
        log = run_part(gpu, args, part, tmp_path)
    assert not log.failed, log.failed
    timed = [row for row in log.rows if 'times' in row]
    assert len(timed) > 20
    assert {name for row in timed for name in row['times']} == {'tinyfcn', gpu_tables.EXACT}
    text = '\n'.join(gpu_tables.markdown_section(dict(gpu=log)))
    assert 'PyTorch is not measured: PyTorch finds no GPU' in text and '| not run | ' in text
    assert '| conv1_2, all kernels | float32 | ' in text


@needs_torch
def test_the_compiled_net_is_one_graph_and_gives_the_same_scores(small):
    import torch
    gpu, args = small
    net, torch_nets = gpu.device_nets(args.width, 'cpu', args.torch)
    image, _ = gpu.random_batch(net, args.size)
    run = args.torch.forwards({'PyTorch': torch_nets['PyTorch']}, image, lambda module: (
        torch.compile(module, backend='eager', fullgraph=True)))['PyTorch']
    score = net.forward(image)
    assert abs(score - run().numpy()).max() <= 1e-3 * abs(score).max()


@needs_torch
def test_a_net_with_other_scores_is_timed_in_tf32_alone(small, tmp_path):
    gpu, args = small
    net, _ = gpu.device_nets(args.width, 'cpu', args.torch)
    net.params['score_fr.b'] += 1.
    log = run_part(gpu, args, 'nets', tmp_path)
    assert [row['what'] for row in gpu_tables.rows_of(log, 'nets')] == ['step']
    why = log.failed['forward, float32, 1']
    assert 'PyTorch differs from tinyfcn by' in why and why.endswith('not timed')
    assert why in '\n'.join(gpu_tables.markdown_section(dict(gpu=log)))
    args.precisions = ['tf32']                          # a CPU has none, and computes in float32
    row = gpu_tables.rows_of(run_part(gpu, args, 'nets', tmp_path), 'nets')[1]
    assert row['precision'] == 'tf32' and row['differences']['PyTorch'] > gpu.TOLERANCES['tf32']
    assert {*row['times']} == {*gpu_tables.NAMES}


@needs_torch
def test_what_fails_of_pytorch_is_named_and_the_rest_is_timed(small, tmp_path):
    gpu, args = small
    _, torch_nets = gpu.device_nets(args.width, 'cpu', args.torch)
    for parameter in [*torch_nets['PyTorch'].parameters()]:
        parameter.data = parameter.data[:0]
    log = run_part(gpu, args, 'nets', tmp_path)
    rows = gpu_tables.rows_of(log, 'nets')
    assert all({*row['times']} == {'tinyfcn', 'PyTorch channels_last'} for row in rows)
    assert all('RuntimeError' in row['missing']['PyTorch'] for row in rows)


@needs_torch
def test_every_op_of_the_net_beside_pytorch_and_its_floor(small, tmp_path):
    gpu, args = small
    log = run_part(gpu, args, 'layers', tmp_path)
    rows = gpu_tables.rows_of(log, 'layers')
    assert not log.failed and all(len(row['times']) > 1 for row in rows), log.failed
    ops = {row['layer']: row for row in rows if row['what'] == 'forward'}
    net = gpu.host_net(args.width)
    k, c = net.params['conv1_2.w'].shape[:2]
    h, w = net.sizes(args.size)['conv1_2']
    assert ops['conv1_2']['flops'] == 2 * k * c * 9 * h * w
    assert ops['relu1_1']['bytes'] == 4 * 2 * k * h * w
    assert {'conv1_1', 'fc6', 'pool1', 'drop6', 'upscore8'} <= {*ops}
    lines = [*gpu_tables.layers_section(rows, {'copy': 1e12, 'product, float32': 1e12})]
    assert len(lines) == len(rows) + 4
