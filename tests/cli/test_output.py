"""What commands print: safe on every terminal, in every encoding, and when nobody reads it."""
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

    with pytest.raises(OSError, match='No space'):
        say('a line', Full())
