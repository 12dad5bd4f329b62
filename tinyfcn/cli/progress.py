"""The progress of a run: a bar, a line for each validation, and Ctrl-C."""
from collections.abc import Generator
from contextlib import closing

from ..runtime.distributed import world
from ..training.recipes import Recipe
from ..training.run import Row
from .bar import Bar
from .interrupt import Interrupted, interruptible
from .output import say
from .tables import in_percent


def show_progress(rows: Generator[Row, None, None], recipe: Recipe, title: str,
                  how_to_continue: str) -> Row:
    """Train to the end, or until Ctrl-C, and show how far it is. -> the last validation's scores

    rows: from training.run.run, which trains as they are consumed: one for each step, which has a
    loss, and one for each validation; their seconds count from the start of this command.
    title: printed once training has begun, and so not before an error
    After Ctrl-C the step is finished, a checkpoint written, and Interrupted raised, with
    `how_to_continue` in its message.
    """
    scores: Row = {}
    steps_before = None                                 # of earlier commands, if this one resumes
    with closing(rows), Bar(recipe.steps, 'step') as bar, interruptible(say) as is_interrupted:
        for row in rows:
            step = row['step']
            if steps_before is None:
                say(title)
                steps_before = step - 1
                bar.start(steps_before)
            if 'loss' in row:
                images = recipe.batch * recipe.iter_size * (step - steps_before)
                bar.update(step, step_note(row, images, scores))
            else:
                scores = row
                say(f'  step {step:6}   mean IU {in_percent(row["mean_iu"]):>5}   '
                    f'pixel acc {in_percent(row["pixel_acc"]):>5}   {row["seconds"]:.0f} s')

            stops_early = world().is_any_asked_to_stop(is_interrupted()) and step < recipe.steps
            # whichever rank has received the signal, rank 0 writes the checkpoint and ends them all
            if stops_early and world().rank == 0:
                rows.close()                            # before the message says that it is there
                raise Interrupted(f'stopped at step {step} of {recipe.steps}; {how_to_continue}')
    return scores


def step_note(row: Row, images: int, scores: Row) -> str:
    """'loss 0.53, 12.1 images/s', and the mean IU once there is one"""
    note = f'loss {row["loss"]:.4g}, {images / max(row["seconds"], 1e-9):.1f} images/s'
    return f'{note}, mean IU {in_percent(scores["mean_iu"])}' if scores else note
