"""Every `>>>` example in a docstring of the package runs and prints what it shows."""
import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import tinyfcn

PACKAGE = Path(tinyfcn.__file__).parent

# the modules and packages whose public functions each have an example
PUBLIC = ('tinyfcn', 'tinyfcn.course.exercises', 'tinyfcn.data', 'tinyfcn.dispatch',
          'tinyfcn.gradcheck', 'tinyfcn.init', 'tinyfcn.layers', 'tinyfcn.metrics',
          'tinyfcn.models', 'tinyfcn.ops', 'tinyfcn.optim', 'tinyfcn.prediction',
          'tinyfcn.training', 'tinyfcn.viz', 'tinyfcn.weights')


def module_names_with_examples():
    for path in sorted(PACKAGE.rglob('*.py')):
        if '>>> ' in path.read_text('utf-8'):
            parts = ['tinyfcn', *path.relative_to(PACKAGE).with_suffix('').parts]
            yield '.'.join(parts).removesuffix('.__init__')


def documented_objects(module):
    """-> (name, object) of a module, its functions and classes, and the methods of these

    doctest's own search leaves out decorated functions, and so every op.
    """
    yield module.__name__, module
    for name, value in [*vars(module).items()]:
        if getattr(value, '__module__', None) != module.__name__:
            continue
        if inspect.isroutine(value):
            yield name, value
        if inspect.isclass(value):
            yield name, value
            for method_name, method in vars(value).items():
                function = getattr(method, '__func__', method)          # of a classmethod
                if inspect.isroutine(function) or isinstance(function, property):
                    yield f'{name}.{method_name}', function


def examples_of(module):
    """The doctests of a module."""
    parser = doctest.DocTestParser()
    for name, value in documented_objects(module):
        doc = inspect.getdoc(value) if value.__doc__ else None
        if doc and '>>> ' in doc:
            yield parser.get_doctest(doc, dict(vars(module)), name, inspect.getfile(module), None)


@pytest.mark.parametrize('name', [*module_names_with_examples()])
def test_the_examples_print_what_they_show(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)                         # examples may write files
    runner = doctest.DocTestRunner(verbose=False)
    report = []
    count = 0
    for test in examples_of(import_module(name)):
        count += len(test.examples)
        runner.run(test, out=report.append)
    assert count > 0, f'{name}: its examples are in no docstring'
    assert runner.summarize(verbose=False).failed == 0, '\n' + ''.join(report)


def public_functions(name):
    module = import_module(name)
    names = getattr(module, '__all__', None) or [
        name for name, value in vars(module).items()
        if getattr(value, '__module__', None) == module.__name__ and not name.startswith('_')]
    for public_name in names:
        value = getattr(module, public_name)
        if inspect.isroutine(value):
            yield f'{name}.{public_name}', value


def test_every_public_function_has_an_example():
    functions = dict(pair for name in PUBLIC for pair in public_functions(name))
    assert len(functions) > 50
    missing = [name for name, function in functions.items()
               if '>>> ' not in (function.__doc__ or '')]
    assert not missing, f'{len(missing)} of {len(functions)} without an example: ' + ', '.join(
        missing)


def test_a_wrong_example_fails(tmp_path):
    """The search finds the examples of plain and of decorated functions, and runs them."""
    source = ('from tinyfcn.dispatch import accelerated\n'
              '@accelerated\n'
              'def double(x):\n'
              '    """\n'
              '    >>> double(2)\n'
              '    5\n'
              '    """\n'
              '    return 2 * x\n')
    path = tmp_path / 'wrong_example.py'
    path.write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        [test] = examples_of(import_module('wrong_example'))
    result = doctest.DocTestRunner(verbose=False).run(test, out=lambda text: None)
    assert (result.attempted, result.failed) == (1, 1)
