"""What the full run on a card needs, in one archive of at most 55 MiB.

    python benchmarks/pack_data.py --data FOLDER        runs/gpu_data.zip

FOLDER has camvid/, voc_animals/, voc_native/ and weights/. CamVid, voc_native and SqueezeNet's
weights go in whole, then as many pictures of voc_animals as there is room for, drawn by chance;
packed.json in the archive says how many that were. No file is changed: pictures are compressed.
"""
import argparse
import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np

MOST = 55 << 20
HEAD = 300              # bytes that a file takes beside its own, and more
WHOLE = 'camvid/train*/*', 'camvid/val*/*', 'voc_native/**/*', 'weights/squeezenet*.npz'
ANIMALS = Path('voc_animals')
LIST = ANIMALS / 'ImageSets' / 'Segmentation' / 'train.txt'
PARTS = {'JPEGImages': '.jpg', 'SegmentationClass': '.png'}
NOTE = 'packed.json'
OUT = Path(__file__).parents[1] / 'runs' / 'gpu_data.zip'


def pack(data, out=OUT, most=MOST):
    """-> {what: how many of how many files or pictures}, which is written into the archive, too"""
    packed, room = {}, most - HEAD
    out.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(out, 'w') as archive:
        def put(path):
            nonlocal room
            archive.write(path, path.relative_to(data))
            room -= cost(path)

        for pattern in WHOLE:
            paths = sorted(path for path in data.glob(pattern) if path.is_file())
            if not paths:
                raise FileNotFoundError(f'{data}: nothing there is {pattern}')
            for path in paths:
                put(path)
            packed[pattern] = f'all of {len(paths)} files'
        names = (data / LIST).read_text('utf-8').split()
        room -= cost(data / LIST)
        if room < 0:
            raise ValueError(f'{out}: even without {ANIMALS} it is {-room:,} bytes above {most:,}')
        kept = []
        for i in np.random.default_rng(0).permutation(len(names)):
            pair = [data / ANIMALS / part / f'{names[i]}{suffix}' for part, suffix in PARTS.items()]
            if sum(map(cost, pair)) > room:
                break
            for path in pair:
                put(path)
            kept.append(names[i])
        archive.writestr(str(LIST), '\n'.join(sorted(kept)) + '\n')
        packed[str(ANIMALS)] = f'{len(kept)} of {len(names)} pictures, drawn by chance'
        archive.writestr(NOTE, json.dumps(packed, indent=1))
    return packed


def cost(path):
    return path.stat().st_size + HEAD


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    data = parser.parse_args().data
    for what, how_many in pack(data).items():
        print(f'{what:28} {how_many}')
    print(f'{OUT}: {OUT.stat().st_size:,} bytes, of at most {MOST:,}')


if __name__ == '__main__':
    main()
