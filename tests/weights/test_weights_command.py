"""`tinyfcn weights`: what it overwrites, what it prints, and what it says of a bad path."""
import os

import numpy as np
import pytest
from portable import mkfifo
from weights_samples import floats

from tinyfcn import weights
from tinyfcn.cli import main

NETS = 'conv1', 'conv2', 'conv3', 'conv4', 'conv5'      # what a CaffeNet has


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez('net.npz', **{f'{box}.w': floats(2, 3, 1, 1) for box in NETS})
    return tmp_path


def test_convert_overwrites_only_what_tinyfcn_wrote(foreign, capsys):
    output = foreign / 'net.safetensors'
    output.write_bytes(b'years of work')
    assert main(['weights', 'convert', 'net.npz']) == 2
    assert 'net.safetensors: exists, and was not written by tinyfcn' in capsys.readouterr().err
    assert output.read_bytes() == b'years of work'
    assert main(['weights', 'convert', 'net.npz', '--overwrite']) == 0
    assert weights.read(output)[0].keys() == {f'{box}.w' for box in NETS}
    assert main(['weights', 'convert', 'net.npz']) == 0
    assert main(['weights', 'convert', 'net.npz', '-o', 'net.npz', '--overwrite']) == 2
    assert 'is the file itself' in capsys.readouterr().err


def test_convert_writes_through_no_link(foreign, capsys):
    (foreign / 'mine').write_bytes(b'tinyfcn')
    (foreign / 'net.safetensors').symlink_to('mine')
    assert main(['weights', 'convert', 'net.npz']) == 2
    assert 'a link' in capsys.readouterr().err and (foreign / 'mine').read_bytes() == b'tinyfcn'


@pytest.mark.parametrize('make, message', [
    (lambda path: None, 'x.pth: no such file; '),
    (os.mkdir, 'x.pth: neither best.safetensors nor last.safetensors is in this folder'),
    (mkfifo, 'x.pth: a pipe or a device, not a file')],
    ids=['missing', 'folder', 'pipe'])
def test_a_path_that_is_no_file_is_described(foreign, capsys, make, message):
    make('x.pth')
    for action in 'inspect', 'convert':
        assert main(['weights', action, 'x.pth']) == 2
        err = capsys.readouterr().err
        assert message in err and 'Errno' not in err


def test_a_file_that_may_not_be_read_is_described(foreign, capsys, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(13, 'Permission denied', os.fspath(path))
    monkeypatch.setattr(os, 'open', refuse)                 # root may read everything
    assert main(['weights', 'inspect', 'net.npz']) == 2
    err = capsys.readouterr().err
    assert 'net.npz: cannot be read (Permission denied)' in err and 'Errno' not in err


def test_names_in_a_file_cannot_control_the_terminal(foreign, capsys):
    evil = 'conv\x1b]0;owned\x07\u202egpj'
    np.savez('x.npz', **{evil: floats(2)})
    assert main(['weights', 'inspect', 'x.npz']) == 0
    assert main(['weights', 'convert', 'x.npz']) == 2
    weights.save('y.safetensors', {'a': floats(1)}, {evil: evil})
    assert main(['weights', 'inspect', 'y.safetensors']) == 0
    out, err = capsys.readouterr()
    assert r'conv\x1b]0;owned\x07\u202egpj' in out and r'conv\x1b]0' in err
    assert not {*'\x1b\x07\u202e'} & {*out, *err}
