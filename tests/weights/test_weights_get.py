"""`tinyfcn weights list`, `get` and `where`: what they print, and what they answer to mistakes."""
import hashlib
import io
import re

import numpy as np
import pytest
from local_mirror import Row, npz_bytes

from tinyfcn.cli import main
from tinyfcn.fetch import progress
from tinyfcn.weights.sources import SOURCES

DATA = npz_bytes(1)
OTHER = npz_bytes(2)


@pytest.fixture
def run(capsys):
    """-> a function of a command line: its exit code, stdout and stderr"""
    def weights(*args):
        code = main(['weights', *map(str, args)])
        out, err = capsys.readouterr()
        assert 'Traceback' not in err
        return code, out, err
    return weights


def test_get(server, table, run):
    url = server.serve('small.npz', DATA)
    folder = table('small', Row(DATA, mirrors=['http://127.0.0.1:9/small.npz', url]))
    code, out, err = run('get', 'small')
    assert code == 0
    dead, checksum, licence, citation, note, path = out.splitlines()
    assert dead == 'http://127.0.0.1:9/small.npz: Connection refused'
    assert checksum == f'small.npz agrees with its SHA-256 {hashlib.sha256(DATA).hexdigest()}'
    assert licence == 'licence: free' and citation == 'cite: A. Uthor, 2026'
    assert note == 'note: small' and path == f'{folder}/small.npz'
    assert err.splitlines()[1] == f'  0 MB, {url}'
    code, out, err = run('get', 'small')                # of one that is there nothing else is said
    assert (code, out, err) == (0, f'{path} exists already\n{path}\n', '')


def test_get_several(server, table, run):
    """What can be had is kept; what cannot is reported at the end."""
    table('one', Row(DATA, mirrors=[server.serve('a', OTHER)]))
    folder = table('two', Row(DATA, mirrors=[server.serve('b', DATA)]))
    code, out, err = run('get', 'one', 'two')
    assert code == 2 and out.endswith(f'{folder}/small.npz\n')
    assert 'tinyfcn: small.npz could not be fetched from any mirror:' in err
    assert err.endswith('and then: tinyfcn weights get one --from small.npz\n')


def test_nothing_is_fetched_where_a_name_is_wrong(server, table, run, cache):
    table('small', Row(DATA, mirrors=[server.serve('a', DATA)]))
    code, out, err = run('get', 'small', 'smal')
    assert (code, out) == (2, '') and "no weights are called 'smal'; did you mean small?" in err
    assert not server.requests and not cache.exists()


def test_each_failure_is_said_once(server, table, run):
    table('small', Row(DATA, mirrors=[server.serve('a', DATA, '404'), server.serve('b', OTHER)]))
    code, out, err = run('get', 'small')
    assert code == 2 and not out
    assert err.count('a: HTTP 404') == 1 == err.count('b: its sha256 is')


def test_ctrl_c(server, table, run, monkeypatch):
    folder = table('small', Row(DATA, mirrors=[server.serve('a', DATA, 'slow:4000')]))

    def press(self, done, total, source):
        if done:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, '__call__', press)
        code, out, err = run('get', 'small')
    assert (code, out) == (75, '')
    assert err == ('\ntinyfcn: stopped; the part of small.npz that has arrived is kept: the same '
                   'command continues there\n')
    code, out, err = run('get', 'small')
    assert code == 0 and (folder / 'small.npz').read_bytes() == DATA
    assert server.requests[-1] == ('a', 'bytes=4000-')


def test_get_from_a_file(table, run, tmp_path):
    own = tmp_path / 'downloads.npz'
    own.write_bytes(OTHER)
    folder = table('small', Row(DATA))
    code, out, err = run('get', 'small', '--from', own)
    assert code == 2 and 'downloads.npz is another file than these, or damaged:' in err
    own.write_bytes(DATA)
    code, out, err = run('get', 'small', '--from', own)
    assert code == 0 and out.endswith(f'{folder}/small.npz\n')
    assert re.search(r'  0 of 0 MB, downloads\.npz', err)


@pytest.mark.parametrize('args, message', [
    (['get'], 'tinyfcn weights get takes the names of weights: tinyfcn weights get squeezenet'),
    (['list', 'squeezenet'], 'tinyfcn weights list takes no name'),
    (['where', 'squeezenet'], 'tinyfcn weights where takes no name'),
    (['inspect'], 'tinyfcn weights inspect takes one file, and 0 are named'),
    (['convert', 'a', 'b'], 'tinyfcn weights convert takes one file, and 2 are named'),
    (['get', 'vgg16', 'googlenet', '--from', 'a'], '--from FILE is for one name'),
    (['inspect', 'a', '--from', 'b'], '--from FILE is for one name')])
def test_too_many_names_and_too_few(run, cache, args, message):
    code, out, err = run(*args)
    assert (code, out) == (2, '') and message in err


def test_list(table, run):
    folder = table('small', Row(DATA))
    code, out, err = run('list')
    assert code == 0 and not err
    header, *rows, alexnet, legend = out.splitlines()
    assert header.split() == ['name', 'MB', 'net', 'classes', 'note']
    assert [row[2:].split()[0] for row in rows] == [*SOURCES]
    assert all(row.startswith('  ') and len(row) < 120 for row in rows)
    assert rows[0].split() == ['squeezenet', '5', 'squeezenet', '1000']
    assert rows[-1].split() == ['small', '?', 'squeezenet', '1000', 'small']
    folder.mkdir(parents=True)
    (folder / 'small.npz').write_bytes(DATA)
    assert run('list')[1].splitlines()[-3].startswith('+ small ')
    assert alexnet.split(maxsplit=1) == ['alexnet', 'is another name of caffenet']
    assert legend.startswith(f'+ is in {folder.parent}.')


def test_where(table, run, cache):
    code, out, err = run('where')
    assert code == 0 and out.splitlines() == [
        str(cache), '  no weights yet; `tinyfcn weights list` shows which there are']
    folder = table('small', Row(DATA))
    folder.mkdir(parents=True)
    for name, data in {'small.npz': DATA, 'small.npz.0a.part': DATA[:9], 'small.npz.0a.tag': b'x',
                       'small.npz.bad': b'', 'x\x1b': b''}.items():
        (folder / name).write_bytes(data)
    rows = [line.split(maxsplit=3) for line in run('where')[1].splitlines()[1:]]
    assert rows == [['small', '0.0', 'MB', 'small.npz'],
                    ['small', '0.0', 'MB', 'small.npz.0a.part   (part of a download)'],
                    ['small', '0.0', 'MB', 'small.npz.bad   (not the right file: may be removed)'],
                    ['small', '0.0', 'MB', r'x\x1b   (not used: may be removed)']]
    (folder / 'small.npz').write_bytes(OTHER)
    folder.rename(folder.with_name('o\nther'))
    table('small', Row(DATA)).mkdir()
    (folder / 'small.npz').write_bytes(OTHER)
    rows = [line.split(maxsplit=3) for line in run('where')[1].splitlines()[1:]]
    assert [r'o\nther', '0.0', 'MB', 'small.npz   (not used: may be removed)'] in rows
    assert rows[-1] == ['small', '0.0', 'MB', 'small.npz   (not the right file: get it again)']


def test_a_mirror_that_is_slow_shows_lines_in_a_log(server, table, run, monkeypatch):
    monkeypatch.setattr(progress, 'LINE_SECONDS', 0)
    table('small', Row(DATA, mirrors=[server.serve('a', DATA, 'slow:4000')]))
    assert len(run('get', 'small')[2].splitlines()) > 2


def test_a_name_is_a_file_too(server, table, run, tmp_path, monkeypatch):
    """What is not in the cache is fetched by the way."""
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    np.savez(file, **{f'conv{i}.w': np.ones((2, 3, 1, 1), 'float32') for i in range(1, 6)})
    table('small', Row(file.getvalue(), mirrors=[server.serve('a', file.getvalue())]))
    code, out, err = run('inspect', 'small')
    assert code == 0 and out.splitlines()[-1] == '5 arrays, 30 numbers' and 'licence: free' in err
    code, out, err = run('convert', 'small')
    assert code == 0 and (tmp_path / 'small.safetensors').exists() and not err
    assert len(server.requests) == 1


def test_help_names_every_action(capsys):
    with pytest.raises(SystemExit):
        main(['weights', '--help'])
    out = capsys.readouterr().out
    for action in 'list', 'get', 'where', 'inspect', 'convert':
        assert f'tinyfcn weights {action}' in out
