"""Folders like those of the data sets that benchmarks/pack_data.py packs, a few images each."""
import numpy as np
from PIL import Image


def write_data(root, voc_images=12):
    for split, count in dict(train=4, val=2).items():
        for i in range(count):
            save_image(root / 'camvid' / split / f'{i}.jpg')
            save_image(root / 'camvid' / f'{split}annot' / f'{i}.png')
    for folder in 'voc_native', 'voc_animals':
        names = [f'2007_{i:06}' for i in range(voc_images)]
        for name in names:
            save_image(root / folder / 'JPEGImages' / f'{name}.jpg')
            save_image(root / folder / 'SegmentationClass' / f'{name}.png')
        listed = root / folder / 'ImageSets' / 'Segmentation' / 'train.txt'
        listed.parent.mkdir(parents=True)
        listed.write_text('\n'.join(names) + '\n', 'utf-8')
    (root / 'weights').mkdir()
    np.savez(root / 'weights' / 'squeezenet_v1.1.npz', nothing=np.zeros(1))
    return root


def save_image(path, size=(32, 40), classes=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    is_image = path.suffix == '.jpg'
    shape = (*size, 3) if is_image else size
    pixels = rng.integers(0, 256 if is_image else classes, shape).astype('uint8')
    Image.fromarray(pixels).save(path)
