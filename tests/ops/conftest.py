"""Here small arrays are computed by the kernels, too, as large ones are everywhere."""
import pytest

from tinyfcn.kernels import registry


@pytest.fixture(autouse=True, scope='package')
def kernels_for_small_arrays():
    with pytest.MonkeyPatch.context() as change:
        change.setattr(registry, 'MIN_SIZE', 1)
        yield
