"""The module that makes notebooks from lessons."""
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(scope='module')
def course():
    for tool in 'nbformat', 'nbclient', 'ipykernel', 'jupytext':
        if not find_spec(tool):
            message = f'{tool} is not installed: make test-more installs it'
            assert not os.environ.get('CI'), message
            pytest.skip(message)
    sys.path.append(str(Path(__file__).parents[2] / 'lessons'))
    return import_module('course')


@pytest.fixture(autouse=True)
def own_ledger(tmp_path_factory, monkeypatch):
    """What a test passes is kept in a folder of its own."""
    monkeypatch.setenv('TINYFCN_CACHE', str(tmp_path_factory.getbasetemp() / 'ledger'))
