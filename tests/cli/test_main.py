"""The command `tinyfcn` itself: help, version, wrong names, closed streams, no docstrings."""
import os
import re
import signal
import subprocess
import sys

import pytest
from training_samples import write_bright_halves

from tinyfcn import __version__
from tinyfcn.cli import COMMANDS, main
from tinyfcn.cli.errors import describe_error, describe_shortage
from tinyfcn.cli.interrupt import Aborted


def run_command(*args, python=(), **kwargs):
    return subprocess.run([sys.executable, *python, '-m', 'tinyfcn', *args], capture_output=True,
                          text=True, **kwargs)


# ---- Help ----------------------------------------------------------------------------------------

def test_without_a_command_the_help_is_printed(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    printed = capsys.readouterr()
    assert stop.value.code == 2 and not printed.out
    assert all(re.search(f'^ +{name} ', printed.err, re.M) for name in COMMANDS)


def test_the_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['--version'])
    assert stop.value.code == 0 and capsys.readouterr().out == f'tinyfcn {__version__}\n'


def test_the_help_fits_80_columns(capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '80')
    with pytest.raises(SystemExit):
        main(['--help'])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name, command in COMMANDS.items():
        assert any(line.split(None, 1) == [name, command.help] for line in lines), name


@pytest.mark.parametrize('typed, meant', [('trian', 'train'), ('evaluate', 'eval'),
                                          ('Predict', 'predict')])
def test_a_wrong_command_is_answered_with_a_near_one(typed, meant, capsys):
    with pytest.raises(SystemExit) as stop:
        main([typed])
    assert stop.value.code == 2
    assert f'no command {typed!r}; did you mean {meant}?' in capsys.readouterr().err


def test_without_docstrings_every_command_has_help():
    """-OO drops docstrings, which otherwise are the help."""
    script = ('import tinyfcn.cli\n'
              'from tinyfcn.cli import COMMANDS, make_parser\n'
              'assert tinyfcn.cli.__doc__ is None or __debug__\n'
              'for name, command in COMMANDS.items():\n'
              '    text = make_parser(name)._subparsers._group_actions[0].choices[name]'
              '.format_help()\n'
              '    print(name, command.help in " ".join(text.split()))\n')
    done = subprocess.run([sys.executable, '-OO', '-c', script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f'{name} True' for name in COMMANDS]


def test_without_docstrings_every_command_works(trained, tmp_path):
    root, run = trained
    commands = [['summary', 'tiny_8s'], ['draw', 'tiny_8s', '-o', 'net.png'], ['doctor'],
                ['weights', 'inspect', str(run / 'last.safetensors')], ['eval', str(run)],
                ['predict', str(run), str(root / 'images/one.jpg')], ['check', str(root)],
                ['train', 'folder', '--data', str(root), '--set', 'steps=1'],
                ['data', 'stanford', '--from', 'gone.tar.gz']]
    script = ('from tinyfcn.cli import main\n'
              'import sys\n'
              f'for args in {commands}:\n'
              '    print(args[0], main(args), file=sys.stderr)\n')
    done = subprocess.run([sys.executable, '-OO', '-c', script], cwd=tmp_path,
                          capture_output=True, text=True)
    codes = dict(re.findall(r'^(\w+) (\d)$', done.stderr, re.M))
    assert codes == {**{args[0]: '0' for args in commands}, 'data': '2'}, done.stderr


# ---- Terminals -----------------------------------------------------------------------------------

def test_an_ascii_terminal_gets_every_help_and_table():
    env = {**os.environ, 'PYTHONIOENCODING': 'ascii:strict', 'COLUMNS': '80'}
    for args in ['train', '--help'], ['train', 'list'], ['summary', 'tiny_8s']:
        done = run_command(*args, env=env)
        assert done.returncode == 0 and done.stdout.isascii(), done.stderr


def test_a_wrong_argument_is_printed_without_its_escapes(capsys):
    with pytest.raises(SystemExit):
        main(['summary', 'tiny_8s', '--\x1b[2J'])
    err = capsys.readouterr().err
    assert r'\x1b[2J' in err and '\x1b' not in err
    assert main(['train', '\x1b[2J']) == 2
    assert '\x1b' not in capsys.readouterr().err


def test_a_reader_that_ends_leaves_no_traceback():
    """As in `tinyfcn train list | head -1`."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, '-m', 'tinyfcn', 'train', 'list'], stdout=write,
                          stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='only Linux has /dev/full')
def test_a_full_disk_is_an_error():
    with open('/dev/full', 'w') as full:
        done = subprocess.run([sys.executable, '-m', 'tinyfcn', 'train', 'list'], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and 'No space left on device' in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('args', [
    ['--size', '0x5'], ['--size', '5x-5'], ['--size', '5'], ['--size', 'axb'], ['--classes', '0'],
    ['--classes', '-3'], ['--classes', '9' * 5000], ['--seed', '-1'], ['--seed', '1.5']])
def test_numbers_are_checked_before_anything_starts(args, capsys):
    with pytest.raises(SystemExit) as stop:
        main(['summary', 'tiny_8s', *args])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and f'argument {args[0]}: ' in err and len(err) < 500


# ---- Errors --------------------------------------------------------------------------------------

def test_errors_of_the_system_are_sentences():
    assert describe_error(OSError(28, 'No space left on device')) == 'No space left on device'
    assert describe_error(OSError(13, 'Permission denied', 'a.png')) == 'a.png: Permission denied'
    assert describe_error(OSError('runs: is full')) == 'runs: is full'


@pytest.mark.parametrize('error, message', [
    (MemoryError(), r'not enough memory\. Use smaller images'),
    (MemoryError('4 GB'), r'not enough memory: 4 GB\. Use smaller'),
    (ImportError('failed to map segment'), r'a library cannot be loaded: failed .*ulimit -v'),
    (RuntimeError("can't start new thread"), "not enough memory: can't start .*TINYFCN_THREADS")])
def test_where_memory_is_short_the_message_says_what_to_do(error, message, monkeypatch, capsys):
    assert re.match(message, describe_shortage(error))

    def run(args):
        raise error

    monkeypatch.setattr('tinyfcn.cli.doctor.run', run)
    assert main(['doctor']) == 2
    assert re.search(message, capsys.readouterr().err)


def test_ctrl_c_during_imports_is_quiet(tmp_path):
    """A module sends the signal while it is imported."""
    send = 'import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n'
    env = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    (tmp_path / 'numpy.py').write_text(send)            # imported by the command line itself
    done = run_command('check', 'x', env=env)
    assert done.returncode in (-2, 130) and not done.stderr
    (tmp_path / 'numpy.py').unlink()
    (tmp_path / 'tqdm.py').write_text(send)             # … and by a command
    done = run_command('check', 'x', env=env)
    assert done.returncode == 130 and done.stderr == '\ntinyfcn: aborted\n'


# ---- A terminal that is closed -------------------------------------------------------------------

@pytest.mark.crash
@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no pseudoterminals')
def test_a_training_outlives_its_terminal(tmp_path):
    """As with nohup: SIGHUP is ignored, and every print fails from then on."""
    import pty
    data = tmp_path / 'set'
    data.mkdir()
    write_bright_halves(data)
    master, slave = pty.openpty()
    training = subprocess.Popen(
        [sys.executable, '-m', 'tinyfcn', 'train', 'folder', '--data', str(data),
         '--run', str(tmp_path / 'run'), '--set', 'net=tiny_8s', 'init_from=None', 'steps=12',
         'validate_every=4', 'batch=2', 'crop_size=(24,32)'], stdin=slave, stdout=slave,
        stderr=slave, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    os.close(slave)
    printed = b''
    while b'training' not in printed:
        printed += os.read(master, 1000)
    os.close(master)
    assert training.wait(120) == 0
    last_row = (tmp_path / 'run/metrics.jsonl').read_text().splitlines()[-1]
    assert '"step": 12' in last_row and 'mean_iu' in last_row


def test_a_signal_that_ends_an_import_is_no_shortage(monkeypatch, capsys):
    """A library may turn what the signal raises into an ImportError of its own."""
    def run(args):
        raise ImportError('initialization failed') from Aborted(15)
    monkeypatch.setattr('tinyfcn.cli.doctor.run', run)
    assert main(['doctor']) == 143
    assert capsys.readouterr().err == '\ntinyfcn: aborted\n'
