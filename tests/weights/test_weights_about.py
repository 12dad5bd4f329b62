"""A tinyfcn file that says strange things beside its weights is read or refused in a sentence."""
import json
import math
from zlib import crc32

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save as serialize

import tinyfcn
from tinyfcn import weights
from tinyfcn.cli import main
from tinyfcn.training import checkpoint
from tinyfcn.weights import FormatError, safetensors_file
from tinyfcn.weights.about import ABOUT, check_about

RUN = dict(step=3, best=.5, seed=0, recipe=dict(net='tiny_32s'))
PREPROCESS = dict(order='RGB', scale=1., mean=[0., 0, 0], std=[1., 1, 1])
BUILD = dict(name='tiny_32s', n_class=3, channels=3, width=1/8)
GOOD = dict(build=BUILD, classes=['sky', 'tree', 'road'], preprocess=PREPROCESS, seed=0, frozen=[],
            run=RUN, machine=dict(python='3.11', blas_threads=2))

# by the entry that is replaced; a dot reaches into an entry
STRANGE = {
    'build': [None, [], 'tiny_32s', 5, {}, dict(name='tiny_32s')],
    'build.name': [None, 5, [], 'nosuch', '../../etc/passwd', 'x' * 10_000, '\x1b[2J'],
    'build.n_class': [None, 0, -1, 2.5, '3', True, 10 ** 30, 1 << 62, [3]],
    'build.channels': [None, 0, -3, '3', 1 << 40, math.inf],
    'build.width': [None, 0, -1, 'a', math.nan, math.inf, 1e308, 1e-300, 10 ** 400, 1000],
    'build.dtype': ['float64', 'object'],
    'build.seed': [0, 'a'],
    'build.up': ['learned', 'nosuch', [], {}, 5],
    'build.nosuch': [1, None],
    'classes': [5, 'abc', [1, 2, 3], ['a'], ['a', 'b'], [['a'], 'b', 'c'], {}, {'score': 5},
                {'score': []}, {'nosuch': ['a', 'b', 'c']}, [None] * 3, []],
    'preprocess': [5, [], 'RGB', {}, dict(order='RGB')],
    'preprocess.order': [None, 5, 'XYZ', ['R']],
    'preprocess.scale': [None, 'a', math.nan, math.inf, 0, [1]],
    'preprocess.mean': [None, 5, 'abc', [], [1], ['a', 'b', 'c'], [math.nan] * 3, [[1]] * 3],
    'shorter_side': [None, 0, -1, 'a', 520.5, True, 10 ** 9],
    'preprocess.std': [None, [0, 0, 0], [-1, 1, 1], [1], [math.inf] * 3, 'abc'],
    'seed': ['a', 1.5, -1, [], 10 ** 400, True],
    'frozen': [None, 5, 'conv1', [1], {}, ['nosuch']],
    'run': [None, 5, [], 'a', {}],
    'run.step': [None, 'a', -1, 1.5, 10 ** 30],
    'run.best': [None, 'a', math.nan, []],
    'run.seed': ['a', -1, 1.5, []],
    'run.recipe': [None, 5, [], 'a', {}, dict(nosuch=1), dict(net=5), dict(steps='a')],
    'run.data': [5, 'a', []],
    'machine': [None, 5, [], 'a', {}, dict(python=[1]), {'\x1b': '\x1b[2J'}],
    'nosuch': [None, 'x' * 100_000, [[[[]]]], '\u202e\x1b[2J'],
}
CASES = [(key, value) for key, values in STRANGE.items() for value in values]


# those that pass the schema, and a few that do not
COMMAND_CASES = [('classes', {'nosuch': ['a', 'b', 'c']}), ('frozen', ['nosuch']), ('run', {}),
                 ('machine', {'\x1b': '\x1b[2J'}), ('nosuch', '\u202e\x1b[2J'), *CASES[::20]]


def replaced(key, value):
    about = json.loads(json.dumps(GOOD))
    entry, _, inner = key.partition('.')
    (about[entry] if inner else about)[inner or entry] = value
    return about


def write(path, about):
    """A tinyfcn file with valid checksums, whatever it says."""
    net = tinyfcn.build('tiny_32s', n_class=3, width=1/8)
    arrays = {name: np.ascontiguousarray(array)
              for name, array in {**net.params, **net.state}.items()}
    checksums = {name: safetensors_file._checksum(name, array) for name, array in arrays.items()}
    text = json.dumps(dict(about=about, crc32=checksums))
    path.write_bytes(serialize(arrays, {'tinyfcn': f'{crc32(text.encode()):08x} {text}'}))


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'x.safetensors'


def test_a_good_file_is_read_by_all(path):
    write(path, GOOD)
    assert tinyfcn.load(path).about == {key: GOOD[key] for key in
                                        ('build', 'classes', 'preprocess', 'run')}
    assert checkpoint.load(path).about == GOOD
    assert weights.read(path)[1]['classes'] == GOOD['classes']


def test_every_entry_may_be_absent():
    for key in ABOUT:
        check_about({other: value for other, value in GOOD.items() if other != key})


def test_images_may_have_a_size():
    assert check_about({**GOOD, 'shorter_side': 520})['shorter_side'] == 520


@pytest.mark.parametrize('about', [None, 5, [], 'a', True])
def test_what_is_no_dict_is_refused(path, about):
    write(path, about)
    with pytest.raises(FormatError, match='and should be a dict; tinyfcn did not write it'):
        weights.read(path)


def test_strange_entries_are_read_or_refused(path):
    """By `load`, by `read` and by a resumed run: each raises nothing but a sentence."""
    refused = 0
    for key, value in CASES:
        write(path, replaced(key, value))
        for read in tinyfcn.load, weights.read, checkpoint.load:
            try:
                read(path)
            except FormatError as error:
                message = str(error)
                assert message.startswith(f'{path}: ') and len(message) < 1500, (key, value)
                assert message.isprintable() and 'damaged, or not' not in message, (key, value)
                refused += 1
    assert refused > 2 * len(CASES), (refused, len(CASES))


@pytest.mark.parametrize('key, value, message', [
    ('build.n_class', 0, "its entry 'build' is {.*}, and should be a dict of name, n_class, "),
    ('classes', ['a', 'b'], 'it names 2 classes, and its net has 3'),
    ('preprocess.std', [0, 1, 1], '.*should be a dict of order'),
    ('run.step', 'a', "its entry 'run' is .*should be a dict of step, best, recipe and seed"),
    ('build.name', 'nosuch', "its net cannot be built, .*: no net called 'nosuch'"),
    ('build.nosuch', 1, 'its net cannot be built, .*nosuch'),
    ('classes', {'nosuch': ['a', 'b', 'c']}, r"it names the classes of \['nosuch'\], .*'score': 3"),
    ('classes', {'score': ['a', 'b']}, r"it names the classes of \['score'\], .*'score': 3"),
    ('frozen', ['nosuch'], "frozen has 'nosuch', which matches no weight")])
def test_the_message_says_what_the_entry_should_be(path, key, value, message):
    write(path, replaced(key, value))
    with pytest.raises(FormatError, match=rf'x\.safetensors: {message}'):
        tinyfcn.load(path)


def test_the_commands_meet_every_strange_file_without_a_traceback(path, capsys):
    Image.new('RGB', (16, 16)).save('photo.png')
    for key, value in COMMAND_CASES:
        write(path, replaced(key, value))
        for command in (['predict', str(path), 'photo.png', '-o', 'out'],
                        ['weights', 'inspect', str(path)]):
            assert main(command) in (0, 2), (key, value)
            out, err = capsys.readouterr()
            assert 'Traceback' not in err and '\x1b' not in out + err, (key, value)


def test_nothing_is_saved_that_could_not_be_loaded(path):
    net = tinyfcn.build('tiny_32s', n_class=3, width=1/8)
    net.about['classes'] = ['a', 'b']
    with pytest.raises(ValueError, match='it names 2 classes, and its net has 3'):
        net.save(path)
    assert not path.exists()
