"""Real classifiers by name, through the command line, on real photos of animals."""
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyfcn import viz
from tinyfcn.cli import main
from tinyfcn.data.imagenet import GROUPS, class_names
from tinyfcn.fetch.source import Source
from tinyfcn.weights.sources import SOURCES

DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))
pytestmark = [pytest.mark.realdata,
              pytest.mark.skipif(not DATA.is_dir(),
                                 reason='TINYFCN_DATA does not name a folder of real data')]

ANIMALS = {8: 'cat', 12: 'dog', 10: 'cow', 13: 'horse', 17: 'sheep'}      # by VOC's number
FILES = dict(squeezenet='squeezenet_v1.1_oihw_fp32.npz', googlenet='googlenet_bvlc_oihw_fp32.npz')


def single_animals(count, *animals):
    """`count` photos of each with a single animal, which fills more than a tenth.

    -> animal, where it is (255 where that is not clear), path
    """
    wanted = dict.fromkeys(animals, count)
    for path in sorted((DATA / 'voc_animals/SegmentationClass').glob('*.png')):
        with Image.open(path) as image:
            mask = np.array(image)
        found = set(np.unique(mask)) - {0, 255}
        number = found.pop() if len(found) == 1 else None
        animal = ANIMALS.get(number)
        if wanted.get(animal) and (mask == number).mean() > .1:
            wanted[animal] -= 1
            where = np.where(mask == 255, 255, mask == number)
            yield animal, where, DATA / 'voc_animals/JPEGImages' / f'{path.stem}.jpg'
    assert not any(wanted.values())


@pytest.fixture(params=FILES)
def name(request, tmp_path, monkeypatch, capsys):
    """The name of a classifier, whose file is in an otherwise empty cache."""
    name = request.param
    file = DATA / 'weights' / FILES[name]
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    row = SOURCES[name]._replace(files=[Source(file.name, [], sha256, file.stat().st_size)])
    monkeypatch.setitem(SOURCES, name, row)
    monkeypatch.setenv('TINYFCN_CACHE', str(tmp_path / 'cache'))
    assert main(['weights', 'get', name, '--from', str(file)]) == 0
    assert 'cite: ' in capsys.readouterr().out
    return name


def test_top_1(name, capsys):
    """Of two hundred cats and dogs; of the others, of which ImageNet has a few kinds, printed."""
    photos = {path: animal for count, animals in [(100, ('cat', 'dog')),
                                                  (10, ('cow', 'horse', 'sheep'))]
              for animal, _, path in single_animals(count, *animals)}
    assert main(['predict', name, *map(str, photos)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 * len(photos)
    right = {animal: [] for animal in ANIMALS.values()}
    for heading, first in zip(lines[::6], lines[1::6]):
        best = first.split('%  ')[1].partition(' (')[0]
        animal = photos[Path(heading.removesuffix(':'))]
        right[animal].append(class_names().index(best) in GROUPS[animal])
    shares = {animal: np.mean(found) for animal, found in right.items()}
    both = np.mean(right['cat'] + right['dog'])
    with capsys.disabled():
        print(f'\n{name}: top-1 {both:.3f} of 200 cats and dogs;',
              ', '.join(f'{animal} {share:.2f}' for animal, share in shares.items()))
    assert both > dict(squeezenet=.7, googlenet=.78)[name]


def test_the_map_of_a_word_lies_on_the_animal(name, tmp_path, monkeypatch, capsys):
    """The share of the map's sum inside the animal, beside the animal's share of the image."""
    drawn = []
    monkeypatch.setattr(viz, 'draw_heatmap', lambda *args: drawn.append(args))
    insides = []
    areas = []
    for animal, where, path in single_animals(8, *ANIMALS.values()):
        assert main(['draw', name, '--heatmap', animal, str(path), '-o',
                     str(tmp_path / 'heat.png')]) == 0
        image, heat, alignment, *_ = drawn.pop()
        heat = np.maximum(heat, 0)                      # what is drawn; scores may be below it
        heat = at_pixels(heat, alignment, where.shape, image.shape[0] / where.shape[0])
        is_clear = where != 255
        insides.append(heat[where == 1].sum() / heat[is_clear].sum())
        areas.append((where == 1).sum() / is_clear.sum())
    capsys.readouterr()
    inside, area = np.mean(insides), np.mean(areas)
    with capsys.disabled():
        print(f'\n{name}: {inside:.3f} of the map lies on the animal, which has {area:.3f} of the '
              f'image ({len(insides)} images)')
    assert inside > area + .2


def at_pixels(heat, alignment, size, factor):
    """The map in an image of this size, which was enlarged by a factor for it: bilinear."""
    for axis in 0, 1:
        n = heat.shape[axis]
        place = ((np.arange(size[axis]) + .5) * factor - .5 - float(alignment.shift[axis]))
        place = np.clip(place / float(alignment.scale[axis]), 0, n - 1)
        before = np.minimum(place.astype(int), max(n - 2, 0))
        after = np.minimum(before + 1, n - 1)
        share = np.expand_dims(place - before, 1 - axis)
        heat = heat.take(before, axis) * (1 - share) + heat.take(after, axis) * share
    return heat
