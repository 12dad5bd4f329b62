"""Every kernel of every .cu file against the reference implementations, without a GPU.

gpu_samples.py says what to run. cuda_emulator.py compiles and runs the kernels: threads in order,
threads in reverse, with the address and the thread sanitizer.
"""
import cuda_emulator
import numpy as np
import pytest
from gpu_compare import TOLERANCE, compare_with_reference, download, with_dtype
from gpu_samples import SAMPLERS, SMALL_THRESHOLDS, WRITE_IN_PLACE
from hypothesis import HealthCheck, given, settings, strategies as st
from samples import LAYOUTS, picks, relaid

from tinyfcn import ops
from tinyfcn.kernels.gpu import launch
from tinyfcn.runtime.gpu import to_gpu

pytestmark = pytest.mark.gpuproof


@pytest.fixture(autouse=True)
def small_thresholds(real_cupy, monkeypatch):
    for module, name, value in SMALL_THRESHOLDS:
        monkeypatch.setattr(module, name, value)
    with cuda_emulator.use_emulator():
        yield


# ---- Each against its reference

@pytest.mark.parametrize('name', SAMPLERS)
@settings(derandomize=True, max_examples=40, deadline=None, database=None,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_kernel_agrees_with_its_reference(name, data):
    def pick(lo, hi):
        return data.draw(st.integers(lo, hi))

    dtype = ('float32', 'float64')[pick(0, 1)]
    layout = pick(0, len(LAYOUTS))                      # the last number stands for none of them
    sample = with_dtype(SAMPLERS[name](pick), dtype)
    # the optimizers' kernels write into their arguments, which must be contiguous
    if layout < len(LAYOUTS) and sample.op not in WRITE_IN_PLACE:
        sample = relaid(LAYOUTS[layout], sample)
    with cuda_emulator.emulate(order=('forward', 'reverse')[pick(0, 1)]), \
            pytest.MonkeyPatch.context() as change:
        change.setattr(launch, 'MAX_BLOCKS', (1, 1 << 16)[pick(0, 1)])
        compare_with_reference(sample, TOLERANCE[dtype])


@pytest.mark.parametrize('sanitize', ['address', 'thread'])
@pytest.mark.parametrize('name', SAMPLERS)
def test_the_sanitizers_find_nothing(name, sanitize):
    with cuda_emulator.emulate(sanitize=sanitize):
        compare_with_reference(with_dtype(SAMPLERS[name](picks(4))))


def test_no_kernel_is_left_out():
    launched = {}
    for name, sampler in SAMPLERS.items():
        cuda_emulator.launched.clear()
        for i in range(8):
            compare_with_reference(with_dtype(sampler(picks(i))))
        launched[name] = set(cuda_emulator.launched)
    assert all(launched.values()), launched             # else only the reference ran
    all_kernels = {kernel for path in launch.FOLDER.glob('*.cu')
                   for kernel in launch.signatures(str(path))}
    assert set().union(*launched.values()) == all_kernels


# ---- An invalid label or switch makes the result NaN: they are not checked on the GPU

def test_a_label_that_is_not_a_class_makes_the_loss_nan():
    score, label = np.zeros((1, 3, 2, 2), 'float32'), np.array([[[0, 1], [7, 255]]])
    loss, dscore = ops.softmax_cross_entropy(to_gpu(score), to_gpu(label))
    assert np.isnan(download(loss))
    assert (np.isnan(download(dscore)) == [[[False, False], [True, False]]]).all()


def test_a_switch_outside_the_image_takes_nan():
    x, switches = np.ones((1, 2, 2, 2), 'float32'), np.array([[[[0, 4]], [[-1, 3]]]])
    y, _ = ops.take(to_gpu(x), to_gpu(switches))
    np.testing.assert_array_equal(download(y), [[[[1, np.nan]], [[np.nan, 1]]]])
