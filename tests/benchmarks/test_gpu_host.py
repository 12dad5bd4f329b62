"""benchmarks/gpu_host.py on the stand-in driver, with a tiny net; its times are not looked at."""
import sys
from pathlib import Path

import pytest

from tinyfcn.kernels.gpu import tape

sys.path.append(str(Path(__file__).parents[2] / 'benchmarks'))
with pytest.MonkeyPatch.context() as patch:             # the benchmarks use two; tests need one
    patch.setenv('TINYFCN_THREADS', '1')
    import gpu_host

pytestmark = pytest.mark.cupy


def test_it_compares_tapes_with_ops(real_cupy, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['gpu_host.py', '--width', '1/16', '--size', '32',
                                      '--rounds', '2'])
    monkeypatch.setattr(tape, 'enabled', True)          # and as it was, afterwards
    gpu_host.main()
    rows = capsys.readouterr().out.split('\n')
    forward, forward_tapes, step, step_tapes = filter(None, rows[-6:])
    assert forward.startswith('| forward | as written |') and '| tapes |' in step_tapes
    counted = [row.split('|')[5:] for row in (forward, forward_tapes, step, step_tapes)]
    assert counted[0] == counted[1] and counted[2] == counted[3]        # the same is asked for
    launches, products, allocations, uploads, waits, _ = map(str.strip, counted[1])
    assert int(launches) > 20 and int(products) == 18 and (uploads, waits) == ('0', '0')
