"""Read every image of a data set before training on it, and report every problem at once."""
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..files import printable
from .channels import RGB
from .dataset import Dataset
from .images import is_transparent, size_mismatch
from .labels import VOID, Array, InvalidPixel, by_output, first_invalid, invalid_label_message

MAX_NAMES = 3           # how many names a sentence lists
# what differs between the messages of one problem in several files: where it is, and how often
PLACE = re.compile(r" image '[^']*',| shape \d+|annotation \d+ \(id [^,]*, image '[^']*'\)"
                   r"| at row \d+, column \d+|[\d,]+ pixels have")


def find_problems(dataset: Dataset, summary: dict[str, Any],
                  numbers: Iterable[int] | None = None) -> Iterator[str]:
    """Read every image, then yield a sentence for each problem, and at the end fill `summary`.

    Files with the same problem are in one sentence.

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
    seen: set[str] = set()
    file_problems = FileProblems()
    for i in range(len(dataset)) if numbers is None else numbers:
        name = dataset.names[i]
        if name in seen:                                # reported below
            continue
        seen.add(name)
        try:
            image, label = dataset.read(name)
            if dataset.channels == RGB and any(map(is_transparent, dataset.files(name)[:1])):
                transparent.append(name)
        except (ValueError, OSError) as error:
            file_problems.add([*dataset.files(name), name], str(error))
            continue
        sizes.append(image.shape[:2])
        for own in dataset.output_labels(name, label):
            if own.label.shape != image.shape[:2]:
                size = '{}×{} pixels'.format(*own.label.shape)
                mismatch = size_mismatch(own.source, size, 'image', image.shape[:2])
                file_problems.add([own.source], str(mismatch))
            counts[own.output].add(own.source, own.label)
    yield from file_problems.sentences()
    for name, times in Counter(dataset.names).items():
        if times > 1:
            yield (f'{printable(name)}: {times} times in the list; list it once, or it is trained '
                   f'on more often')
    for count in counts.values():
        yield from count.problems()
    notes = [note for count in counts.values() for note in count.notes()]
    if transparent:
        notes.append(_list_names(transparent, 'with transparency, which is dropped'))
    summary.update(
        images=len(sizes), smallest=min(sizes, key=np.prod, default=None),
        largest=max(sizes, key=np.prod, default=None),
        labels={output: count.summary() for output, count in counts.items()}, notes=notes)


def find_overlaps(splits: Mapping[str, Dataset]) -> Iterator[str]:
    """Yields a sentence for two splits that have images in common, and for damaged lists.

    Of the first split, `find_problems` has read all images.
    """
    for split, dataset in [*splits.items()][1:]:
        yield from _find_list_problems(split, dataset)
    for (first, one), (second, other) in combinations(splits.items(), 2):
        files = {path for name in other.names for path in other.files(name)[:1]}
        common = [name for name in dict.fromkeys(one.names) if {*one.files(name)[:1]} & files]
        if common:
            are, them = ('is', 'it') if len(common) == 1 else ('are', 'them')
            yield (f'{_shorten(common)} {are} in {first} and in {second}: remove {them} from one '
                   f'of them; a score on images that a net was trained on says nothing of others')


def _find_list_problems(split: str, dataset: Dataset) -> Iterator[str]:
    """Names that a list has more than once, and names without a file."""
    repeated = [name for name, times in Counter(dataset.names).items() if times > 1]
    if repeated:
        yield (f'{_shorten(repeated)}: more than once in {split}; list each once, or it counts '
               f'more often')
    n_files = 1 if split == 'test' else None            # the masks of a test set may be secret
    missing = [path for name in dict.fromkeys(dataset.names)
               for path in dataset.files(name)[:n_files] if not path.exists()]
    if missing:
        yield (f'{_list_names(missing, f"missing in {split}")}; add what is missing, or remove the '
               f'names from the list')


class FileProblems:
    """What is wrong with files. Where several have the same problem, one sentence names them."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, str]] = {}   # {problem: {message: its file}}

    def add(self, sources: Sequence[str | Path], message: str) -> None:
        """message: of an error, which begins with one of these sources, of which one is the image.
        """
        named = (source for source in map(printable, sources) if message.startswith(f'{source}: '))
        source = next(named, '')
        same = self.messages.setdefault(PLACE.sub('', message.removeprefix(source)), {})
        if source == next(iter(same.values()), None) and message not in same:   # a file of them all
            source = printable(sources[0])
        same.setdefault(message, source)

    def sentences(self) -> Iterator[str]:
        for same in self.messages.values():
            first, *others = same
            names = [*dict.fromkeys(same[message] for message in others)]
            more = f'. The same of {len(names):,} more: {_shorten(names)}' if names else ''
            yield f'{first}{more}'


class LabelCounts:
    """How often each value occurs in the masks of one output, over all files."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes
        self.values: Counter[int] = Counter()
        self.void_only: list[object] = []
        self.first_invalid: tuple[object, InvalidPixel] | None = None   # its mask, the pixel
        self.invalid_pixels = 0
        self.invalid_files: list[object] = []

    def add(self, source: object, label: Array) -> None:
        """Count the pixels of the mask that was read from `source`."""
        values, counts = np.unique(label, return_counts=True)
        self.values.update(dict(zip(values.tolist(), counts.tolist())))
        if (label == VOID).all():
            self.void_only.append(source)
        if invalid := first_invalid(label, len(self.classes)):
            self.first_invalid = self.first_invalid or (source, invalid)
            self.invalid_pixels += invalid.n_invalid
            self.invalid_files.append(source)

    def problems(self) -> Iterator[str]:
        """What only all masks together show: invalid labels, only void, 255 in place of 1."""
        if self.first_invalid:
            source, pixel = self.first_invalid
            message = invalid_label_message(
                source, pixel._replace(n_invalid=self.invalid_pixels), len(self.invalid_files),
                len(self.classes), sorted(self.values))
            others = self.invalid_files[1:]
            yield f'{message}. Also in {_shorten(others)}' if others else message
        elif self.values and set(self.values) == {VOID}:
            yield (f'every pixel of all masks is {VOID}, void: there is nothing to learn; a class '
                   f'is 0 … {len(self.classes) - 1}')
        elif set(self.values) == {0, VOID} and len(self.classes) == 2:
            yield (f'the masks hold only 0 and {VOID}, and {VOID} is void: no pixel is '
                   f'{self.classes[1]!r}. If {VOID} means {self.classes[1]!r}, save it as 1 '
                   f'(mask // 255), or write the colours 0 0 0 and 255 255 255 before the names in '
                   f'classes.txt')

    def notes(self) -> Iterator[str]:
        """What is unusual and may be intended."""
        absent = [name for i, name in enumerate(self.classes) if not self.values[i]]
        if absent and len(absent) < len(self.classes):
            yield f'no pixel is {printable(", ".join(absent), limit=None)}'
        if self.void_only:
            yield _list_names(self.void_only, 'void in every pixel')

    def summary(self) -> dict[str, Any]:
        """Pixels of each class, the share of void, and all values."""
        pixels = {name: self.values[i] for i, name in enumerate(self.classes)}
        return dict(pixels=pixels, values=sorted(self.values),
                    void=self.values[VOID] / max(1, self.values.total()))


def _list_names(names: Sequence[object], what: str) -> str:
    """'5 with transparency: a, b, c, …'"""
    return f'{len(names):,} {what}: {_shorten(names)}'


def _shorten(names: Sequence[object]) -> str:
    """'a, b, c, …'"""
    more = ', …' if len(names) > MAX_NAMES else ''
    return f'{", ".join(map(printable, names[:MAX_NAMES]))}{more}'
