"""The progress of a run: a bar, a line for each validation, and Ctrl-C."""
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from ..runtime.distributed import world
from ..training.recipes import Recipe
from ..training.run import Row
from .interrupt import Interrupted, interruptible


def follow(rows: Generator[Row, None, None], recipe: Recipe, folder: Path) -> Row:
    """Show the rows of training.run.run as they come. -> the last validation's scores

    The first Ctrl-C closes `rows`, which writes a checkpoint.
    """
    scores: Row = {}
    first_step = None
    with closing(rows), tqdm(total=recipe.steps, unit='step', disable=None) as bar, \
            interruptible(bar.write) as interrupted:
        for row in rows:
            step = row['step']
            if first_step is None:
                first_step = step - 1
                bar.initial = first_step
                bar.n = first_step
            if 'loss' in row:
                bar.update(step - bar.n)
                images = recipe.batch * recipe.iter_size * (step - first_step)
                images_per_second = images / max(row['seconds'], 1e-9)
                bar.set_postfix_str(f'loss {row["loss"]:.4g}, '
                                    f'mean IU {scores.get("mean_iu") or 0:.3f}, '
                                    f'{images_per_second:.1f} images/s')
            else:
                scores = row
                bar.write(f'  step {step:6}   mean IU {row["mean_iu"] or 0:.3f}   '
                          f'pixel acc {row["pixel_acc"] or 0:.3f}   {row["seconds"]:.0f} s')
            if interrupted() and step < recipe.steps and not world().rank:
                rows.close()
                raise Interrupted(f'stopped at step {step} of {recipe.steps}; run the same '
                                  f'command with --resume to continue in {folder}')
    return scores
