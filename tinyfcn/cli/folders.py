"""--images and --masks: two folders of one's own, where they cannot be told from their names.

--images alone is for labels of LabelMe, CVAT or COCO whose images are elsewhere.
"""
import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAMED: dict[str, Path] = {}     # the two folders of this command, as load_dataset takes them


def add_folder_arguments(parser: argparse.ArgumentParser) -> None:
    for part in 'images', 'masks':
        parser.add_argument(f'--{part}', type=Path, metavar='FOLDER',
                            help=f'the folder of your {part}, if its name is not recognised: a '
                                 f'folder in that of the data, or any other')


@contextmanager
def use_folders(args: argparse.Namespace) -> Iterator[None]:
    """Inside, data sets of one's own consist of these folders, if they were named.

    Where --data names no folder of data, it is the one that holds the images.
    """
    own = {part: path for part in ('images', 'masks') if (path := getattr(args, part, None))}
    if not own:
        yield
        return
    if 'images' not in own:
        raise ValueError('--images and --masks name two folders: give both')
    if args.data is None and own['images'].is_dir():
        args.data = own['images'].absolute().parent
    NAMED.update(own)
    try:
        yield
    finally:
        NAMED.clear()
