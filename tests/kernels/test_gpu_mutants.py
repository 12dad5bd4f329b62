"""Bugs planted in the .cu files, each of which must be caught: `make mutants`.

They quote lines of the sources, so they have a mark of their own and no part in `make test`.
"""
from shutil import copy

import cuda_emulator
import numpy as np
import pytest
from gpu_compare import compare_with_reference, with_dtype
from samples import a_conv2d, a_loss, a_pointwise, a_pool, a_take

from tinyfcn.kernels.gpu import launch

pytestmark = pytest.mark.mutants


@pytest.fixture(autouse=True)
def emulator(real_cupy):
    with cuda_emulator.use_emulator():
        yield


# file, old code, new code; the sample to run; how to run it; a part of the message
OVERHANGING = a_pool('max_pool', (5, 7), 2)
LOSS = a_loss((17, 19))                             # more pixels than threads in a block
WINOGRAD = a_conv2d((33, 21), c=32, k=32, n=1, pad=1)           # 54 tiles, computed in a run of 64
IM2COL = a_conv2d((5, 7), n=1)                                  # 15 places, in a run of 32
BUGS = {
    'a read outside the image': (
        'pool', 'left + kw < w ? left + kw : w;', 'left + kw;',
        OVERHANGING, dict(sanitize='address'), 'heap-buffer-overflow'),
    'the last of equal pixels': (
        'pool', 'value > best ||', 'value >= best ||',
        OVERHANGING._replace(args=(np.ones((1, 1, 5, 7)),)), {}, None),
    'no barrier before the sum': (                  # right results, but a race
        'loss', '= own;\n    __syncthreads();', '= own;', LOSS, dict(sanitize='thread'),
        'data race'),
    'no barrier within the sum': (
        'loss', '        __syncthreads();\n    }', '    }', LOSS, {}, None),
    'a barrier that some threads never reach': (
        'loss', 'shared[threadIdx.x] = own;', 'if (threadIdx.x % 2) return;', LOSS, {},
        'wait at a barrier'),
    'another type than the caller passes': (
        'pool', 'const long long* switches,              // planes * windows',
        'const int* switches,                    // planes * windows',
        a_take((4, 5), (2, 3)), {}, 'take: switches is int64; this kernel reads int32'),
    'another size than the caller passes': (
        'pool', 'const REAL* x,                          // planes * pixels',
        'const REAL* x,                          // planes * windows',
        a_take((4, 5), (2, 3)), {}, 'take: x has 80 values'),
    'a value that no thread writes': (
        'pointwise', 'dx[i] = y[i] > 0', 'if (i) dx[i] = y[i] > 0',
        a_pointwise('relu', 2, 3, 4, 5), {}, None),
    'a value that two threads write': (
        'pointwise', 'dx[i] = y[i] > 0', 'dx[i / 2] = y[i] > 0',
        a_pointwise('relu', 2, 3, 4, 5), dict(sanitize='thread'), 'data race'),
    'another of the points of Winograd': (
        'winograd', 'Q3 = 27. / 8', 'Q3 = 26. / 8', WINOGRAD, {}, None),
    'a tile behind the last one is written': (
        'winograd', 'image >= n || left >= ow', 'left >= ow', WINOGRAD, dict(sanitize='address'),
        'heap-buffer-overflow'),
    'a place behind the last one is written': (
        'im2col', 'if (image >= n)', 'if (image > n)', IM2COL, dict(sanitize='address'),
        'heap-buffer-overflow'),
    'a ReLU that is left out': (
        'im2col', 'y[i] = relu && value < 0 ? 0 : value', 'y[i] = value',
        a_conv2d((4, 4), ksize=1, n=1)._replace(op='conv_relu'), {}, None),
    'a thread that reads its neighbour\'s result': (
        'pointwise', 'dx[i] = y[i] > 0', 'dx[i] = (i ? 0 * dx[i - 1] : 0) + y[i] > 0',
        a_pointwise('relu', 2, 3, 4, 5), dict(order='reverse'), None),
}


@pytest.mark.parametrize('file, old, new, sample, kwargs, message', BUGS.values(), ids=BUGS)
def test_a_planted_bug_is_caught(file, old, new, sample, kwargs, message, tmp_path, monkeypatch):
    code = (launch.FOLDER / f'{file}.cu').read_text('utf-8')
    assert code.count(old) == 1
    with cuda_emulator.emulate(**kwargs):
        compare_with_reference(with_dtype(sample))          # passes before the bug is planted
    for path in launch.FOLDER.glob('*.cu'):
        copy(path, tmp_path)
    (tmp_path / f'{file}.cu').write_text(code.replace(old, new), 'utf-8')
    monkeypatch.setattr(launch, 'FOLDER', tmp_path)
    with cuda_emulator.emulate(**kwargs), \
            pytest.raises((AssertionError, RuntimeError, TypeError, ValueError), match=message):
        compare_with_reference(with_dtype(sample))
