"""Python runs this at its start where run.py put this folder on the path."""
import os
import sys

sys.path.append(os.environ['FAKE_CUDA_TESTS'])
from fake_cuda.importer import install

install(os.environ['FAKE_CUDA_WHEEL'])
