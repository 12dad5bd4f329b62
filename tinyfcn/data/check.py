"""Every picture of a set is read before a net is trained on it, and all that is wrong is said."""
from collections import Counter

import numpy as np

from .images import is_transparent, size_mismatch
from .labels import VOID, beyond, by_output, not_a_class


def check(pictures, summary, numbers=None):
    """Read every picture. Yields a sentence for each problem, and at the end fills `summary`.

    summary: pictures (read), smallest and largest (height, width), notes, and labels: for each
    output dict(pixels={class: how many}, void=share, values). `numbers` may be fewer, or a
    progress bar over range(len(pictures)).
    """
    tallies = {key: Tally(classes) for key, classes in by_output(pictures.classes).items()}
    sizes, clear = [], []
    for i in range(len(pictures)) if numbers is None else numbers:
        name = pictures.names[i]
        try:
            image, label = pictures.read(name)
            if any(is_transparent(path) for path in pictures.files(name)[:1]):
                clear.append(name)
        except (ValueError, OSError) as error:
            yield str(error)
            continue
        sizes.append(image.shape[:2])
        for key, where, part, _ in pictures.parts(name, label):
            if part.shape != image.shape[:2]:
                how = '{}×{} pixels'.format(*part.shape)
                yield str(size_mismatch(where, how, 'image', image.shape[:2]))
            tallies[key].add(where, part)
    for tally in tallies.values():
        yield from tally.problems()
    summary.update(
        pictures=len(sizes), smallest=min(sizes, key=np.prod, default=None),
        largest=max(sizes, key=np.prod, default=None),
        labels={key: tally.summary() for key, tally in tallies.items()},
        notes=[note for tally in tallies.values() for note in tally.notes()] + [
            _some(clear, 'with transparency, which is dropped')] * bool(clear))


class Tally:
    """What the masks of one output hold, over all the files."""

    def __init__(self, classes):
        self.classes, self.values, self.void = classes, Counter(), []
        self.first, self.pixels, self.files = None, 0, 0

    def add(self, where, label):
        values, counts = np.unique(label, return_counts=True)
        self.values.update(dict(zip(values.tolist(), counts.tolist())))
        if (label == VOID).all():
            self.void.append(where)
        if odd := beyond(label, len(self.classes)):
            *place, pixels = odd
            self.first = self.first or (where, *place)
            self.pixels, self.files = self.pixels + pixels, self.files + 1

    def problems(self):
        """What is seen only when all files are: beyond the classes, never a class, 0 and 255."""
        if self.first:
            yield not_a_class(*self.first, self.pixels, self.files, len(self.classes),
                              sorted(self.values))
        elif self.values and set(self.values) == {VOID}:
            yield (f'every pixel of all masks is {VOID}, void: there is nothing to learn; a class '
                   f'is 0 … {len(self.classes) - 1}')
        elif set(self.values) == {0, VOID} and len(self.classes) == 2:
            yield (f'the masks hold only 0 and {VOID}, and {VOID} is void: of '
                   f'{self.classes[1]!r} there is not one pixel. If {VOID} means '
                   f'{self.classes[1]!r}, save it as 1 (mask // 255)')

    def notes(self):
        absent = [name for i, name in enumerate(self.classes) if not self.values[i]]
        if absent and len(absent) < len(self.classes):
            yield f'no pixel is {", ".join(absent)}'
        if self.void:
            yield _some(self.void, 'void in every pixel')

    def summary(self):
        pixels = {name: self.values[i] for i, name in enumerate(self.classes)}
        return dict(pixels=pixels, values=sorted(self.values),
                    void=self.values[VOID] / max(1, self.values.total()))


def _some(names, what):
    return f'{len(names):,} {what}: {", ".join(map(str, names[:3]))}{", …" if names[3:] else ""}'
