"""What augmentation costs the thread that prepares batches: milliseconds of one core an image.

    TINYFCN_THREADS=1 python benchmarks/augmentation.py     some seconds

Each key of a recipe alone, on an image of 320×240 pixels; then what recipe `folder` does with it,
and with a crop of a photo of twelve megapixels. It is CPU time, so other programs matter little.
docs/augmentation.md has the numbers.
"""
from statistics import median
from time import thread_time

from timing import save

# isort: split
import numpy as np

from tinyfcn.data.augment import augment
from tinyfcn.data.shapes import generate
from tinyfcn.training import get_recipe
from tinyfcn.training.loop import AUGMENTATION

ROUNDS = 50
SIZE = 240, 320
MEGAPIXELS = 3000, 4000
DRAWING = 'replace', 'rare_classes'     # which images are drawn, and not how they are changed

KEYS = dict(
    scale_range=dict(scale_range=(.75, 1.33)), elastic_sigma=dict(elastic_sigma=10.),
    rotation=dict(rotation=10.), colour=dict(colour=(.3, .3, .3, .05)), blur=dict(blur=1.),
    noise=dict(noise=.1))


def milliseconds(image, label, changes, rounds=ROUNDS):
    """The median over different random numbers."""
    times = []
    for seed in range(rounds + 1):
        rng = np.random.default_rng(seed)
        start = thread_time()
        augment(image, label, rng, **changes)
        times.append(1e3 * (thread_time() - start))
    return median(times[1:])                            # the first one imports modules


def folder_changes():
    recipe = get_recipe('folder')
    return {key: getattr(recipe, key) for key in AUGMENTATION if key not in DRAWING}


def measure(rounds=ROUNDS):
    """-> rows of the name of a change, and its time"""
    image, label = generate(1, 0, SIZE)
    times = {name: milliseconds(image, label, changes, rounds) for name, changes in KEYS.items()}
    times['folder'] = milliseconds(image, label, folder_changes(), rounds)
    repeats = [-(-new // old) for new, old in zip(MEGAPIXELS, SIZE)]
    photo = np.tile(image, (*repeats, 1))
    times['folder, 12 megapixels'] = milliseconds(photo, np.tile(label, repeats), folder_changes(),
                                                  rounds)
    return [dict(name=name, ms=round(ms, 2)) for name, ms in times.items()]


def main():
    rows = measure()
    for row in rows:
        print(f'{row["name"]:22} {row["ms"]:5.1f} ms')
    save('augmentation', rows)


if __name__ == '__main__':
    main()
