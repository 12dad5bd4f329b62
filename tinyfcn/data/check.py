"""Read every image of a data set before training on it, and report every problem at once."""
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .dataset import Dataset
from .images import is_transparent, size_mismatch
from .labels import VOID, Array, InvalidPixel, by_output, first_invalid, invalid_label_message

MAX_NAMES = 3           # how many names a note lists


def find_problems(dataset: Dataset, summary: dict[str, Any],
                  numbers: Iterable[int] | None = None) -> Iterator[str]:
    """Read every image. Yields a sentence for each problem, and at the end fills `summary`.

    summary: images (how many were read), smallest and largest (height, width), notes, and labels:
    for each output dict(pixels={class: count}, void=share, values). `numbers` may select images,
    or be a progress bar over range(len(dataset)).

    >>> dataset = Dataset(['sky', 'bird'], ['one'], lambda name: (np.zeros((2, 2, 3), 'uint8'),
    ...                                                           np.array([[0, 1], [7, 255]])))
    >>> summary = {}
    >>> for problem in find_problems(dataset, summary):
    ...     print(problem)
    one: label 7 at row 1, column 0; there are 2 classes (0 … 1) and 255 is void. 1 such pixel in \
1 file. Values found: 0, 1, 7, 255
    >>> summary['labels']['score']['pixels']
    {'sky': 1, 'bird': 1}
    """
    counts = {output: LabelCounts(classes)
              for output, classes in by_output(dataset.classes).items()}
    sizes: list[tuple[int, ...]] = []
    transparent: list[str] = []
    for i in range(len(dataset)) if numbers is None else numbers:
        name = dataset.names[i]
        try:
            image, label = dataset.read(name)
            if any(is_transparent(path) for path in dataset.files(name)[:1]):
                transparent.append(name)
        except (ValueError, OSError) as error:
            yield str(error)
            continue
        sizes.append(image.shape[:2])
        for own in dataset.output_labels(name, label):
            if own.label.shape != image.shape[:2]:
                size = '{}×{} pixels'.format(*own.label.shape)
                yield str(size_mismatch(own.source, size, 'image', image.shape[:2]))
            counts[own.output].add(own.source, own.label)
    for count in counts.values():
        yield from count.problems()
    notes = [note for count in counts.values() for note in count.notes()]
    if transparent:
        notes.append(_list_names(transparent, 'with transparency, which is dropped'))
    summary.update(
        images=len(sizes), smallest=min(sizes, key=np.prod, default=None),
        largest=max(sizes, key=np.prod, default=None),
        labels={output: count.summary() for output, count in counts.items()}, notes=notes)


class LabelCounts:
    """How often each value occurs in the masks of one output, over all files."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes
        self.values: Counter[int] = Counter()
        self.void_only: list[object] = []
        self.first_invalid: tuple[object, InvalidPixel] | None = None   # its mask, the pixel
        self.invalid_pixels = 0
        self.invalid_files = 0

    def add(self, source: object, label: Array) -> None:
        """Count the pixels of the mask that was read from `source`."""
        values, counts = np.unique(label, return_counts=True)
        self.values.update(dict(zip(values.tolist(), counts.tolist())))
        if (label == VOID).all():
            self.void_only.append(source)
        if invalid := first_invalid(label, len(self.classes)):
            self.first_invalid = self.first_invalid or (source, invalid)
            self.invalid_pixels += invalid.n_invalid
            self.invalid_files += 1

    def problems(self) -> Iterator[str]:
        """What only all masks together show: invalid labels, only void, 255 in place of 1."""
        if self.first_invalid:
            source, pixel = self.first_invalid
            yield invalid_label_message(source, pixel._replace(n_invalid=self.invalid_pixels),
                                        self.invalid_files, len(self.classes),
                                        sorted(self.values))
        elif self.values and set(self.values) == {VOID}:
            yield (f'every pixel of all masks is {VOID}, void: there is nothing to learn; a class '
                   f'is 0 … {len(self.classes) - 1}')
        elif set(self.values) == {0, VOID} and len(self.classes) == 2:
            yield (f'the masks hold only 0 and {VOID}, and {VOID} is void: no pixel is '
                   f'{self.classes[1]!r}. If {VOID} means {self.classes[1]!r}, save it as 1 '
                   f'(mask // 255)')

    def notes(self) -> Iterator[str]:
        """What is unusual and may be intended."""
        absent = [name for i, name in enumerate(self.classes) if not self.values[i]]
        if absent and len(absent) < len(self.classes):
            yield f'no pixel is {", ".join(absent)}'
        if self.void_only:
            yield _list_names(self.void_only, 'void in every pixel')

    def summary(self) -> dict[str, Any]:
        """Pixels of each class, the share of void, and all values."""
        pixels = {name: self.values[i] for i, name in enumerate(self.classes)}
        return dict(pixels=pixels, values=sorted(self.values),
                    void=self.values[VOID] / max(1, self.values.total()))


def _list_names(names: Sequence[object], what: str) -> str:
    """'5 with transparency: a, b, c, …'"""
    more = ', …' if len(names) > MAX_NAMES else ''
    return f'{len(names):,} {what}: {", ".join(map(str, names[:MAX_NAMES]))}{more}'
