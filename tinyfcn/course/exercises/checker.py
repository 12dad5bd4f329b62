"""check(): run the reader's function and the library's own on every case."""
import inspect
import traceback
from copy import deepcopy
from difflib import get_close_matches
from functools import cache

from ..ledger import record_pass
from . import (
    alignment,
    array_backend,
    confusion,
    convolution,
    crf,
    dilation,
    family,
    gradients,
    pooling,
    training,
    upsampling,
)
from .compare import (
    describe_error,
    describe_type,
    find_changed_input,
    find_difference,
    run_case,
    same_outcome,
    to_host,
)
from .result import Result

GROUPS = [confusion, convolution, gradients, pooling, upsampling, alignment, training,
          array_backend, dilation, crf, family]
EXERCISES = {name: exercise for group in GROUPS for name, exercise in group.EXERCISES.items()}
CHANGED_HINT = 'Work on a new array: {0} = {0} − … instead of {0} −= …, or {0} = {0}.copy() first.'


def check(name, mine):
    """Compare the reader's function with the library's own.   -> Result; never raises

    If it is wrong, the result has the smallest case that fails, and a hint for a known mistake. If
    it is right, the ledger keeps that it was passed: tinyfcn.course.progress() shows it.

    >>> check('mean_iu', lambda hist: 0.5).message
    'mean_iu is 0.5, and should be 0.6571'
    """
    result = find_result(name, mine)
    if result.correct:
        record_pass(name)
    return result


def find_result(name, mine):
    """The same without the ledger."""
    try:
        return _check(name, mine)
    except KeyboardInterrupt:                           # the reader wants to stop
        raise
    except BaseException as error:
        message = f'this cannot be checked: {describe_error(error)}'
        return Result(_name_text(name), False, message)


def _check(name, mine):
    if not isinstance(name, str) or name not in EXERCISES:
        return _unknown_exercise(name)
    exercise = EXERCISES[name]
    if mine is None or mine is ...:
        return _unwritten(name)
    if not callable(mine):
        return Result(name, False, f'a function is needed, and this is {describe_type(mine)}',
                      f'Pass the function without calling it: check({name!r}, {name}_mine)')
    if not _accepts(mine, exercise):
        return Result(name, False, 'your function takes other arguments',
                      f'It is called with {", ".join(exercise.inputs.split())}.')

    outcomes = []
    changed = ''
    for args in exercise.cases:
        copies = deepcopy(args)
        outcome = run_case(exercise, mine, copies)
        if outcome is None:
            return _unwritten(name)
        outcomes.append(outcome)
        changed = changed or find_changed_input(exercise, args, copies)

    expected, mistakes = _known_outcomes(name)
    failed = [i for i, outcome in enumerate(expected) if not same_outcome(outcomes[i], outcome)]
    if not failed and changed:
        return Result(name, False, f'the numbers are right, but your function changes {changed}, '
                      f'which belongs to the caller', CHANGED_HINT.format(changed))
    if not failed:
        return Result(name, True, f'correct on all {len(expected)} cases. Well done!')
    first = failed[0]
    case = dict(zip(exercise.inputs.split(), deepcopy(exercise.cases[first])))
    return Result(name, False, hint=_find_hint(mistakes, outcomes, first), case=case,
                  **_describe_failure(exercise, mine, outcomes[first], expected[first]))


def _unknown_exercise(name):
    similar = get_close_matches(_name_text(name), EXERCISES, 3, .4)
    if similar:
        hint = f'Did you mean {" or ".join(similar)}?'
    else:
        hint = f'The exercises are {", ".join(EXERCISES)}.'
    return Result(_name_text(name), False, 'there is no such exercise', hint)


@cache
def _known_outcomes(name):
    """The outcomes of the solution on every case, and those of each mistake by its hint."""
    exercise = EXERCISES[name]
    expected = [run_case(exercise, exercise.solution, args) for args in exercise.cases]
    mistakes = {hint: [run_case(exercise, function, args) for args in exercise.cases]
                for hint, function in exercise.mistakes.items()}
    return expected, mistakes


def _find_hint(mistakes, outcomes, failed):
    """The hint of the mistake that explains the failed case, and most of the other cases."""
    explained = {hint: [same_outcome(*pair) for pair in zip(known, outcomes)]
                 for hint, known in mistakes.items()}
    candidates = [hint for hint, cases in explained.items() if cases[failed]]
    return max(candidates, key=lambda hint: sum(explained[hint]), default='')


def _describe_failure(exercise, mine, outcome, expected):
    """The message of a result, and the arrays of the first output that is wrong."""
    if isinstance(outcome, BaseException):
        return dict(message=describe_error(outcome) + _failing_line(outcome, mine))
    for output, a, b in zip(exercise.outputs.split(), outcome, expected):
        difference = find_difference(output, a, b)
        if difference:
            break
    message, index = difference
    a = to_host(a)
    if a.dtype.kind not in 'biuf':                      # not numbers: nothing to show as a table
        return dict(message=message)
    return dict(message=message, output=output, mine=a, expected=to_host(b).copy(),
                wrong_index=index)


def _failing_line(error, mine):
    """The line of the reader's function that an exception comes from."""
    code = getattr(mine, '__code__', None)
    if code is None:
        return ''
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == code.co_filename and frame.line]
    return f', in the line `{lines[-1]}`' if lines else ''


def _accepts(mine, exercise):
    """Whether a function can be called with the arguments of an exercise."""
    try:
        inspect.signature(mine).bind(*exercise.inputs.split())
    except TypeError:
        return False
    except ValueError:                                  # some builtins have no signature
        pass
    return True


def _unwritten(name):
    return Result(name, False, 'not yet. Fill in the function and run this cell again.',
                  written=False)


def _name_text(name):
    return name[:99] if isinstance(name, str) else describe_type(name)
