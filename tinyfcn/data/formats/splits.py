"""Names of files and folders: which split they are of, and whether they hold images or masks."""
import re
from pathlib import Path

# words that stand alone, or at one end of a name such as train2017, trainannot or masks_val
SPLITS = {'training': 'train', 'train': 'train', 'validation': 'val', 'valid': 'val', 'val': 'val',
          'testing': 'test', 'test': 'test'}


def split_in(path: Path) -> str:
    """The split that the name of a file, or of a folder it is in, speaks of; '' if none does.

    >>> split_in(Path('annotations/instances_val2017.json')), split_in(Path('train/masks'))
    ('val', 'train')
    >>> split_in(Path('masks'))
    ''
    """
    for part in reversed(path.parts):
        words = re.findall('[a-z]+', part.lower())
        for word in words:
            if word in SPLITS:
                return SPLITS[word]
    return ''


def without_split(name: str) -> tuple[str, str]:
    """The split in the name of a folder, and the rest of its letters.

    >>> without_split('trainannot'), without_split('masks_val'), without_split('SegmentationClass')
    (('train', 'annot'), ('val', 'masks'), ('', 'segmentationclass'))
    """
    text = ''.join(re.findall('[a-z]+', name.lower()))
    for word, split in SPLITS.items():
        if text.startswith(word):
            return split, text.removeprefix(word)
        if text.endswith(word):
            return split, text.removesuffix(word)
    return '', text
