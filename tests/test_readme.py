"""What README shows is so: its examples run, and its figure is the one in the package."""
import doctest
import inspect
import re
from pathlib import Path

from tinyfcn.models.fcn import stride8

README = (Path(__file__).parents[1] / 'README.md').read_text('utf-8')


def test_the_examples_run_and_print_what_is_shown():
    text = README.replace('```', '')
    example = doctest.DocTestParser().get_doctest(text, {}, 'README.md', 'README.md', 0)
    assert len(example.examples) > 20
    assert doctest.DocTestRunner().run(example).failed == 0


def test_the_figure_is_the_one_in_the_package():
    shown = re.search(r'def stride8.*?```', README, re.S).group().removesuffix('```')
    true = re.sub(r'    """.*?"""\n', '', inspect.getsource(stride8), flags=re.S)
    assert shown == true


def test_the_commands_exist():
    targets = set(re.findall(r'^make (\w+)', README, re.M))
    makefile = (Path(__file__).parents[1] / 'Makefile').read_text('utf-8')
    assert targets == {'demo', 'test'}
    assert all(re.search(rf'^{target}:', makefile, re.M) for target in targets)
