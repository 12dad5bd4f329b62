"""Run Python with the real CuPy over the stand-in driver; so do the processes that it starts.

    python tests/fake_cuda/run.py -m pytest -m cupy
    python tests/fake_cuda/run.py benchmarks/gpu.py
    python tests/fake_cuda/run.py -c 'import cupy; print(cupy.arange(3) + 1)'
"""
import os
import sys
from pathlib import Path
from shutil import which

sys.path.append(str(Path(__file__).resolve().parents[1]))

# isort: split
from fake_cuda.build import HERE, cache_folder

WHEEL = Path(sys.prefix) / 'cupy'           # where `make .venv/cupy` puts CuPy, out of the way


def environment():
    """os.environ for such a process, for subprocess.run."""
    for tool in 'g++', 'nm', 'readelf':
        if not which(tool):
            raise SystemExit(f'{tool} is not installed: apt-get install g++')
    if not (WHEEL / 'cupy').exists():
        raise SystemExit(f'there is no CuPy in {WHEEL}: make .venv/cupy')
    path = [HERE / 'site', WHEEL, *filter(None, [os.environ.get('PYTHONPATH')])]
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, path)),
            'FAKE_CUDA_TESTS': str(HERE.parent), 'FAKE_CUDA_WHEEL': str(WHEEL),
            'CUDA_PATH': str(HERE / 'site'),    # with the header that CuPy looks for
            'CUPY_ACCELERATORS': '', 'CUPY_CACHE_DIR': str(cache_folder() / 'cupy')}


if __name__ == '__main__':
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], environment())
