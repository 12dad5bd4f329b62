"""How many threads each competitor has: TINYFCN_THREADS, two if it is not set.

To be imported before NumPy, whose OpenBLAS reads its own setting then.
"""
import os
import sys

THREADS = int(os.environ.setdefault('TINYFCN_THREADS', '2'))

if 'numpy' not in sys.modules:
    os.environ['OPENBLAS_NUM_THREADS'] = str(THREADS)
