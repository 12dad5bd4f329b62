"""`tinyfcn demo --with mine.py`: train with the reader's own functions, beside the library's."""
from pathlib import Path

from .. import viz
from ..course.own import (
    PARTS,
    Run,
    Scores,
    check_functions,
    evaluate,
    functions_of,
    read_functions,
    train,
    unused_functions,
)
from ..course.own.parts import Functions
from ..course.own.training import N_VAL, STEPS, images_of
from ..files import make_folder, require_own
from .bar import Bar
from .output import say
from .tables import in_percent

MAX_SECONDS = 600               # of a training with slow functions
MIN_STEPS = 2
DRAWN = 5                       # validation images in the drawing
LIBRARY = "the library's"
RUN_HEADER = f'{"":{len(LIBRARY)}}   first loss   last loss   mean IU   seconds'


def run_own_demo(path: Path, folder: Path) -> None:
    """Check the functions of a file, train with them and with the library's, and compare."""
    page = folder / 'own.png'
    require_own(page)
    functions = read_functions(path)
    own = check_functions(functions)
    say(f'{path}: {", ".join(own)} passed the checks')
    if unwritten := [name for name in functions if name not in own]:
        say(f'not written yet, so the library\'s: {", ".join(unwritten)}')
    if unused := unused_functions(own):
        say(f'not needed beside the others: {", ".join(unused)}')

    train({}, steps=1)                                  # loads the kernels
    slow = train(own, steps=1).total
    fast = train({}, steps=1).total
    steps = steps_that_fit(slow)
    say(f'a step takes {slow:.2g} s with yours, and {fast:.2g} s with the library\'s alone')
    if steps < STEPS:
        say(f'{STEPS} steps would take {STEPS * slow / 60:.0f} minutes, so both train for {steps} '
            f'only')
    mine = show_training(own, steps, 'yours')
    library = show_training({}, steps, LIBRARY)
    mine_scores = evaluate(mine.net, own)
    library_scores = evaluate(library.net, {})

    rows = [run_row('yours', mine, mine_scores), run_row(LIBRARY, library, library_scores)]
    say('\n'.join(['', RUN_HEADER, *rows]))
    say(f'\nMilliseconds a step:\n{part_table(own, mine, library, steps)}')
    make_folder(folder)
    draw(page, {'yours': mine_scores.preds, LIBRARY: library_scores.preds})
    say(f'\nValidation images with both predictions: {page}')


def steps_that_fit(seconds: float) -> int:
    """How many steps to train, if one takes so many seconds.

    >>> steps_that_fit(.1), steps_that_fit(60), steps_that_fit(3600)
    (200, 10, 2)
    """
    return max(MIN_STEPS, min(STEPS, int(MAX_SECONDS / seconds)))


def show_training(functions: Functions, steps: int, name: str) -> Run:
    """Train with a progress bar."""
    with Bar(steps, 'step') as bar:
        return train(functions, steps,
                     lambda step, loss: bar.update(step, f'{name}, loss {loss:.3g}'))


def run_row(name: str, run: Run, scores: Scores) -> str:
    """The result of a training, under RUN_HEADER."""
    return (f'{name:{len(LIBRARY)}}{run.losses[0]:13.4f}{run.losses[-1]:12.4f}'
            f'{in_percent(scores.mean_iu):>10}{run.total:10.1f}')


def part_table(own: Functions, mine: Run, library: Run, steps: int) -> str:
    """How long each part takes, of those that the reader's functions are in."""
    rows = []
    for part in PARTS:
        names = functions_of(part, own)
        if names and part in mine.seconds:
            a, b = (1000 * run.seconds[part] / steps for run in (mine, library))
            label = part if names == [part] else f'{part}, by {" and ".join(names)}'
            rows.append(f'{label:44}{a:10.2f}{b:15.2f}{a / b:10.1f}×')
    return '\n'.join([f'{"":44}{"yours":>10}{LIBRARY:>15}{"times":>11}', *rows])


def draw(path: Path, preds: dict[str, list]) -> None:
    """The first validation images, their labels and both predictions."""
    dataset = images_of('val', N_VAL)
    rows = []
    for i in range(DRAWN):
        image, label = dataset[i]
        rows.append((dataset.names[i], image, label, *(each[i] for each in preds.values())))
    viz.draw_page(path, rows, dataset.classes, list(preds))
