"""The benchmarks of speed: rounds, rows that survive an interruption, the peak, the targets."""
import json
import sys
from pathlib import Path

import pytest
from optional_deps import needed, needs_torch

from tinyfcn import build
from tinyfcn.net.summary import multiply_adds

sys.path.append(str(Path(__file__).parents[2] / 'benchmarks'))
with pytest.MonkeyPatch.context() as patch:             # benchmarks use two threads; tests use one
    patch.setenv('TINYFCN_THREADS', '1')
    import report
    import targets
    import timing


@pytest.fixture
def unfinished(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, 'UNFINISHED', tmp_path)
    return tmp_path / 'some.jsonl'


def times(tinyfcn, **others):
    return {name: dict(median=seconds, least=seconds, most=seconds, rounds=3)
            for name, seconds in dict(tinyfcn=tinyfcn, **others).items()}


# ---- Rounds --------------------------------------------------------------------------------------

def test_the_competitors_alternate_and_the_first_round_does_not_count(monkeypatch):
    monkeypatch.setattr(timing, 'sleep', int)
    monkeypatch.setattr(timing, 'collect', int)
    calls = []
    measured = timing.time_alternately({name: lambda name=name: calls.append(name)
                                        for name in 'AB'}, budget=0, min_rounds=3)
    assert calls == [*'AB'] * 4
    assert {name: own['rounds'] for name, own in measured.items()} == dict(A=3, B=3)


def test_a_trial_calls_everything_once(monkeypatch):
    monkeypatch.setattr(timing, 'QUICK', True)
    calls = []
    measured = timing.time_alternately({'A': lambda: calls.append('A')}, budget=9, min_rounds=3)
    assert calls == ['A'] and measured['A']['rounds'] == 1


def test_the_faster_layout_of_pytorch_counts():
    assert timing.ratio(times(2., **{'PyTorch': 6., 'PyTorch channels_last': 5.})) == 2.5
    assert timing.ratio(times(2., OpenVINO=3.), ['OpenVINO']) == 1.5
    assert timing.ratio(times(2.), ['OpenVINO']) is None


# ---- Rows ----------------------------------------------------------------------------------------

def test_an_interrupted_run_goes_on_where_it_ended(unfinished):
    def interrupt():
        raise KeyboardInterrupt

    def measure(number, then=lambda: dict(seconds=1)):
        return dict(number=number, size=(2, 3)), then

    printed = []
    with pytest.raises(KeyboardInterrupt):
        timing.measure_rows('some', [measure(1), measure(2, interrupt)], printed.append)
    assert [row['number'] for row in printed] == [1]
    rows = timing.measure_rows('some', [measure(1, interrupt), measure(2)], printed.append)
    assert [row['number'] for row in rows] == [1, 2] and printed[1:] == rows
    assert rows == [json.loads(line) for line in unfinished.read_text('utf-8').splitlines()]
    assert all(row['threads'] == 1 and row['seconds'] == 1 for row in rows)


def test_rows_are_measured_anew_after_an_edit_or_for_other_threads(unfinished, monkeypatch):
    counted = []
    measurements = [(dict(number=1), lambda: dict(count=len(counted)))]
    for threads, sources in (1, 'a'), (1, 'b'), (2, 'b'), (1, 'b'):
        monkeypatch.setattr(timing, 'THREADS', threads)
        monkeypatch.setattr(timing, 'hash_sources', lambda sources=sources: sources)
        rows = timing.measure_rows('some', measurements, counted.append)
    assert [(row['threads'], row['count']) for row in rows] == [(1, 1), (2, 2)]
    assert counted[3] == counted[1]


def test_the_load_of_other_programs(monkeypatch):
    """In two seconds all programs computed for three, and this one for one and a half."""
    monkeypatch.setattr(timing, 'computed_seconds', lambda: (12., 103., 51.5))
    assert timing.other_load((10., 100., 50.)) == .75
    assert timing.other_load(None) is None


# ---- Targets -------------------------------------------------------------------------------------

def test_targets_of_nets_and_layers():
    def layer(name, ours, theirs):
        both = times(ours, PyTorch=theirs)
        return dict(net='A', layer=name, threads=2, forward=both, backward=both)

    forward = dict(net='fcn8s', size=[500, 500], batch=1, what='forward', threads=1,
                   times=times(1., **{'PyTorch': 2., 'OpenVINO': 1.3}))
    other_size = dict(forward, size=[240, 320])
    found = [*targets.all_targets(dict(
        fcn=dict(rows=[forward, other_size]),
        conv=dict(rows=[layer('thin', 1., .5), layer('thick', 1., 3.)])))]
    assert [(target.wanted, target.measured, target.result) for target in found] == [
        (1.9, 2., 'met'), (1.4, None, 'not measured'), (1.4, 1.3, 'missed'),
        (1., 1.75, 'met'), (.8, .5, 'missed'), (1., 1.75, 'met'), (.8, .5, 'missed')]
    assert 'thin' in found[4].name


def test_memory_must_not_exceed_its_target():
    rows = [dict(net='fcn8s', what='forward', threads=2, tinyfcn=dict(peak=peak))
            for peak in (1e9, 2e9)]
    assert [target.result for target in targets.memory_targets(rows)] == ['met', 'missed']


# ---- The peak ------------------------------------------------------------------------------------

def test_the_least_time_of_an_op():
    """By its multiply-adds, or by its bytes, at the bandwidth of arrays about as large."""
    needed('numba')
    import peak
    machine = dict(flops=1e9, bandwidth=[dict(megabytes=1, read=4e9, copy=2e9),
                                         dict(megabytes=16, read=1e9, copy=1e9)])
    assert peak.least_seconds(machine, 1e9, 1e6) == 2
    assert peak.least_seconds(machine, 0, 2e6) == pytest.approx(2 / 4e3)
    assert peak.least_seconds(machine, 0, 8e6) == pytest.approx(8e-3)


@needs_torch
def test_the_layers_of_a_net_multiply_what_its_summary_says():
    needed('numba')
    import conv
    net = build('fcn_squeezenet_16s', seed=None)
    layers = conv.layers_of(net, (96, 64))
    sizes = net.sizes((96, 64))
    assert len(layers) > 20
    for name, layer in layers.items():
        assert layer.weights * layer.places == multiply_adds(net, net[name], sizes)
    machine = dict(flops=2., bandwidth=[dict(megabytes=1, read=1e99, copy=1e99)])
    first, second = [*layers.values()][:2]              # the first needs no gradient of the image
    assert first.least_seconds(machine) == dict(forward=first.weights * first.places,
                                                backward=first.weights * first.places)
    least = second.least_seconds(machine, images=3)
    assert least['backward'] == 2 * least['forward'] == 6 * second.weights * second.places
    assert len(conv.distinct(layers)) == 18


# ---- The page ------------------------------------------------------------------------------------

def cells(lines):
    """The last row of the last table."""
    rows = [line for line in '\n'.join(lines).splitlines() if line.startswith('| ')]
    return rows[-1].split(' | ')


def test_the_tables_of_results():
    both = times(1., **{'PyTorch': 3., 'PyTorch channels_last': 2.})
    net = dict(net='fcn8s', size=[500, 500], batch=1, threads=2, times=both, least_seconds=.5)
    assert cells(report.fcn_section([dict(net, what='forward'), dict(net, what='step', busy=1.)])
                 ) == ['| fcn8s', '500×500', '1', '2', '1.000/1.000', '3.000/3.000 (×3.00)',
                       '2.000/2.000 (×2.00)', '50% † |']
    assert any('| not run | not run | not run | 50% |' in line
               for line in report.fcn_section([dict(net, what='forward')]))
    pace = dict(recipe='camvid-16s', threads=1, images=4, times=both)
    assert cells(report.train_speed_section([pace])) == ['| camvid-16s', '1', '4.0', '1.3', '2.0',
                                                         '×2.00 |']
    layer = dict(net='A', layer='conv', threads=1, c=3, k=8, ksize=[3, 3], size=[9, 9], flop=2e9,
                 forward=both, backward=both, least_seconds=dict(forward=.25, backward=1.5))
    sections = [*report.conv_section([layer, dict(layer, layer='other')])]
    assert any('| 6.000; ×3.00; ×3.00, 3.00; 2 | 4.000; ×2.00; ×2.00, 2.00; 2 |' in line
               for line in sections)
    assert cells(sections)[-1] == '25%, 150% |'
