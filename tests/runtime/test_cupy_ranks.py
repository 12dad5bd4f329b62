"""Two ranks, each with the real CuPy and a GPU of its own, add their gradients by NCCL."""
import json
import os
from pathlib import Path

import mpi_steps
import numpy as np
import pytest
from mpi_jobs import MPIEXEC, start_job, wait_for

pytestmark = [pytest.mark.cupy, pytest.mark.usefixtures('real_cupy')]


def test_two_ranks_on_gpus_train_what_one_process_trains_on_the_host(tmp_path):
    if not MPIEXEC.exists():
        assert not os.environ.get('CI'), 'MPI is not installed: make .venv/mpi'
        pytest.skip('MPI is not installed: make .venv/mpi')
    net, rows = mpi_steps.trained_net('float64')
    code, stderr = wait_for(start_job(2, Path(mpi_steps.__file__), tmp_path, 'float64', 'gpu'))
    assert code == 0, stderr
    first, second = (json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(2))
    assert first['size'] == 2
    assert first['weights'] == second['weights'] and first['losses'] == second['losses']
    weights = np.load(tmp_path / 'weights.npz')
    assert max(abs(w - weights[name]).max() for name, w in net.params.items()) <= 1e-12
    np.testing.assert_allclose(first['losses'], [row['loss'] for row in rows], rtol=1e-12)
