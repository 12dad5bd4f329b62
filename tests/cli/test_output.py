"""What commands print: safe on every terminal, in every encoding, and when its reader has ended."""
import errno
import io
import os
import subprocess
import sys

import pytest

from tinyfcn.cli.output import encodable, say

SCRIPT = 'from tinyfcn.cli.output import say\n'


def run_script(script, **kwargs):
    return subprocess.run([sys.executable, '-c', SCRIPT + script], capture_output=True, **kwargs)


@pytest.mark.parametrize('name, shown', [
    ('sky\x1b[2J', r'sky\x1b[2J'), ('gnp.\u202eexe', r'gnp.\u202eexe'), ('a\rb', r'a\rb'),
    ('\udcff.png', r'\udcff.png'), ('a\nb\tc', 'a\nb\tc'), ('Äcker 3×4', 'Äcker 3×4')])
def test_what_a_terminal_would_obey_is_escaped(name, shown, capsys):
    say(name)
    assert capsys.readouterr().out == f'{shown}\n'


def test_an_ascii_terminal_gets_substitutes_and_escapes():
    file = io.TextIOWrapper(io.BytesIO(), encoding='ascii', errors='strict')
    say('3×4 – 5 … of Äcker, \u2603 → \x1b', file)
    assert file.buffer.getvalue() == rb'3x4 - 5 ... of \xc4cker, \u2603 -> \x1b' + b'\n'
    assert encodable('3×4', 'cp1252') == '3×4'


def test_a_reader_that_has_ended_does_not_end_the_command():
    """As in `tinyfcn … | head`: no traceback, and what is computed after it is computed."""
    read, write = os.pipe()
    os.close(read)
    script = ('import sys\n'
              'for i in range(10_000):\n'
              '    say("a line")\n'
              'say("the end", sys.stderr)\n')
    done = subprocess.run([sys.executable, '-c', SCRIPT + script], stdout=write,
                          stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, 'the end\n')


def test_a_command_without_stdout_prints_nothing():
    done = run_script('import sys; sys.stdout = None; say("a line")')
    assert (done.returncode, done.stdout, done.stderr) == (0, b'', b'')


def test_a_full_disk_is_reported():
    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, 'No space left on device')

    with pytest.raises(OSError, match='No space') as error:
        say('a line', Full())
    assert error.value.filename == 'the output of this command'


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
@pytest.mark.parametrize('redirection, code', [
    ('2> /dev/full', 2), ('> /dev/full 2>&1', 2), ('2>&-', 2), ('>&- 2>&-', 2)])
def test_messages_that_cannot_be_written_change_no_exit_code(redirection, code):
    command = f'{sys.executable} -m tinyfcn check nowhere {redirection}'
    assert subprocess.run(command, shell=True, capture_output=True).returncode == code


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
def test_a_full_disk_of_the_output_is_reported_once():
    done = subprocess.run(f'{sys.executable} -m tinyfcn train list > /dev/full', shell=True,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == 'tinyfcn: the output of this command: No space left on device\n'
