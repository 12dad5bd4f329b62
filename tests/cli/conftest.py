"""A small data set, and the folder of a run on it, for the tests of all commands."""
import re
from contextlib import redirect_stdout
from io import StringIO

import pytest
from bad_input_samples import NAMES, write_dataset

from tinyfcn.cli import main


@pytest.fixture(scope='session')
def four_steps():
    """The arguments of `tinyfcn train folder` for a run of a second."""
    return ['--set', 'steps=4', 'validate_every=2', 'crop_size=(40, 56)']


@pytest.fixture
def run_main(capsys):
    """-> a function of a command line: its exit code, stdout and stderr, without a traceback"""
    def run(*args):
        code = main([*map(str, args)])
        captured = capsys.readouterr()
        assert 'Traceback' not in captured.err
        # what is there only where no kernel was compiled before
        err = re.sub('^compiling kernels, once.*\n', '', captured.err, flags=re.M)
        return code, captured.out, err
    return run


@pytest.fixture(scope='session')
def trained(tmp_path_factory, four_steps):
    """A folder of twelve images, and the folder of a run of four steps on it."""
    root = tmp_path_factory.mktemp('my')
    run = tmp_path_factory.mktemp('runs') / 'my'
    write_dataset(root)
    for i in range(9):
        for folder, suffix in ('images', '.jpg'), ('masks', '.png'):
            (root / folder / f'{i}{suffix}').write_bytes(
                (root / folder / f'{NAMES[i % 3]}{suffix}').read_bytes())
    with redirect_stdout(StringIO()):
        assert main(['train', 'folder', '--data', str(root), '--run', str(run), *four_steps]) == 0
    return root, run
