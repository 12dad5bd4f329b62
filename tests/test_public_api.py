"""What `import tinyfcn` offers: its names, when they are imported, and tinyfcn.load."""
import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyfcn
from tinyfcn.cli import main

RUNS_OF_01 = Path(__file__).parent / 'fixtures' / 'v01'


def test_every_public_name_can_be_imported():
    for name in tinyfcn.__all__:
        assert getattr(tinyfcn, name) is not None
    assert dir(tinyfcn) == sorted(tinyfcn.__all__)
    with pytest.raises(AttributeError, match="'biuld'.*build"):
        _ = tinyfcn.biuld


def test_editors_see_the_names_that_are_imported_lazily():
    """Every name is imported in __init__.py for type checkers."""
    tree = ast.parse(Path(tinyfcn.__file__).read_text('utf-8'))
    [for_checkers, *_] = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(for_checkers.test) == 'TYPE_CHECKING'
    names = {alias.name for node in for_checkers.body for alias in node.names}
    assert {*tinyfcn.__all__} == names


def test_import_tinyfcn_imports_neither_numpy_nor_its_own_modules():
    script = 'import sys, tinyfcn; print(*sys.modules)'
    loaded = subprocess.run([sys.executable, '-c', script], check=True, capture_output=True,
                            text=True).stdout.split()
    assert 'numpy' not in loaded and 'tinyfcn.net' not in loaded


# ---- tinyfcn.load --------------------------------------------------------------------------------

def save_net(file, bias):
    net = tinyfcn.build('tiny_32s', 3, width=1/8)
    net.params['score_fr.b'][:] = bias
    file.parent.mkdir(exist_ok=True)
    net.save(file)


def loaded_bias(path):
    return tinyfcn.load(path).params['score_fr.b'][0]


def test_load_takes_the_best_checkpoint_of_a_run(tmp_path):
    run = tmp_path / 'run'
    save_net(run / 'last.safetensors', 1)
    assert loaded_bias(run) == 1
    save_net(run / 'best.safetensors', 2)
    assert loaded_bias(run) == 2 and loaded_bias(str(run)) == 2
    assert loaded_bias(run / 'last.safetensors') == 1


def test_load_of_a_folder_without_weights_says_what_is_in_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}: .*holds nothing.*tinyfcn train'):
        tinyfcn.load(tmp_path)
    (tmp_path / 'metrics.jsonl').touch()
    with pytest.raises(FileNotFoundError, match='best.safetensors.*holds metrics.jsonl'):
        tinyfcn.load(tmp_path)
    save_net(tmp_path / 'second/last.safetensors', 0)
    save_net(tmp_path / 'first/last.safetensors', 0)
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}/first, {tmp_path}/second'):
        tinyfcn.load(tmp_path)


def test_load_of_no_file_and_of_weights_from_elsewhere(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.safetensors'):
        tinyfcn.load(tmp_path / 'gone.safetensors')
    tinyfcn.weights.save(tmp_path / 'x.safetensors', {'conv.w': np.zeros(3)})
    with pytest.raises(ValueError, match='x.safetensors.*tinyfcn.weights.transplant'):
        tinyfcn.load(tmp_path / 'x.safetensors')


@pytest.mark.parametrize('kind', ['sgd', 'adam'])
def test_load_reads_the_runs_of_version_01(kind):
    net = tinyfcn.load(RUNS_OF_01 / kind)
    arrays, _ = tinyfcn.weights.read(RUNS_OF_01 / kind / 'last.safetensors')
    for name, w in net.params.items():
        np.testing.assert_array_equal(w, arrays[name])


def test_the_command_line_reports_a_folder_without_weights(tmp_path, capsys):
    assert main(['eval', str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
