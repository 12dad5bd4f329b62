"""PyTorch and the official writers of files: witnesses, and no dependency of tinyfcn.

Where one is absent its tests are skipped and say so; in CI it is installed, and they fail.
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
