"""PyTorch and the official writers of weight files: tests compare with them, tinyfcn needs none.

Where one is missing its tests are skipped with that reason; in CI they fail instead.
"""
import os
from importlib import import_module

import pytest


def present(name):
    """The module, or None."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        if os.environ.get('CI') == 'true':
            raise
        return None


def needed(name):
    """The module; without it this test is skipped."""
    return present(name) or pytest.skip(f'{name} is not installed, nothing to compare with')


torch = present('torch')
torch_oracle = torch and import_module('torch_oracle')
needs_torch = pytest.mark.skipif(torch is None,
                                 reason='PyTorch is not installed: make torch')
