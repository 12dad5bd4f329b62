"""The data of the full run on a GPU, in one archive of at most 50 MiB.

    python3 benchmarks/pack_data.py --data FOLDER       runs/gpu_data.zip

FOLDER has camvid/, voc_animals/, voc_native/ and weights/. The archive gets all of CamVid,
voc_native and SqueezeNet's weights, and random images of voc_animals until it is full; packed.json
in it says how many. The files are stored as they are: images are compressed already.
"""
import argparse
import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np

MAX_BYTES = 50 << 20     # with the repository and compiled kernels less than 64 MiB
ZIP_ENTRY = 300         # bytes of the archive for each file beside its content, at most
COMPLETE = 'camvid/train*/*', 'camvid/val*/*', 'voc_native/**/*', 'weights/squeezenet*.npz'
ANIMALS = Path('voc_animals')
LIST = ANIMALS / 'ImageSets' / 'Segmentation' / 'train.txt'
PARTS = {'JPEGImages': '.jpg', 'SegmentationClass': '.png'}
NOTE = 'packed.json'
OUT = Path(__file__).parents[1] / 'runs' / 'gpu_data.zip'


def pack(data, out=OUT, max_bytes=MAX_BYTES):
    """-> {what: how many of how many files or images}, which is written into the archive, too"""
    packed = {}
    space = max_bytes - ZIP_ENTRY
    out.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(out, 'w') as archive:
        def add(path):
            nonlocal space
            archive.write(path, path.relative_to(data))
            space -= cost(path)

        for pattern in COMPLETE:
            paths = sorted(path for path in data.glob(pattern) if path.is_file())
            if not paths:
                raise FileNotFoundError(f'{data}: no file matches {pattern}')
            for path in paths:
                add(path)
            packed[pattern] = f'all of {len(paths)} files'
        names = (data / LIST).read_text('utf-8').split()
        space -= cost(data / LIST)
        if space < 0:
            raise ValueError(f'{out}: even without {ANIMALS} it has {-space:,} bytes more than '
                             f'{max_bytes:,}')
        added = []
        for i in np.random.default_rng(0).permutation(len(names)):
            pair = [data / ANIMALS / part / f'{names[i]}{suffix}' for part, suffix in PARTS.items()]
            if sum(map(cost, pair)) > space:
                break
            for path in pair:
                add(path)
            added.append(names[i])
        archive.writestr(str(LIST), '\n'.join(sorted(added)) + '\n')
        packed[str(ANIMALS)] = f'{len(added)} of {len(names)} images, at random'
        archive.writestr(NOTE, json.dumps(packed, indent=1))
    return packed


def cost(path):
    return path.stat().st_size + ZIP_ENTRY


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    data = parser.parse_args().data
    for what, how_many in pack(data).items():
        print(f'{what:28} {how_many}')
    print(f'{OUT}: {OUT.stat().st_size:,} bytes, of at most {MAX_BYTES:,}')


if __name__ == '__main__':
    main()
