"""SIFT Flow (Liu et al. 2009): each pixel has one of 33 semantic and one of 3 geometric classes."""
from pathlib import Path

from .dataset import Dataset
from .images import read_image
from .labels import Array, Label
from .lists import read_split
from .mat import from_one_based, read_mat

SEMANTIC = '''awning balcony bird boat bridge building bus car cow crosswalk desert door fence field
grass moon mountain person plant pole river road rock sand sea sidewalk sign sky staircase
streetlight sun tree window'''.split()
GEOMETRIC = 'sky', 'horizontal', 'vertical'
FOLDER = 'spatial_envelope_256x256_static_8outdoorcategories'


def siftflow(root: str | Path, split: str | Path = 'trainval') -> Dataset:
    """root/{Images,SemanticLabels,GeoLabels}/<FOLDER>/<name>.{jpg,mat,mat} and root/<split>.txt.

    A label is {'score_sem': (H, W), 'score_geo': (H, W)}, by the outputs of the net.
    """
    root = Path(root)

    def files(name: str) -> tuple[Path, Path, Path]:
        return (root / 'Images' / FOLDER / f'{name}.jpg',
                root / 'SemanticLabels' / FOLDER / f'{name}.mat',
                root / 'GeoLabels' / FOLDER / f'{name}.mat')

    def read(name: str) -> tuple[Array, Label]:
        image, *labels = files(name)
        semantic, geometric = (from_one_based(read_mat(path, 'S')) for path in labels)
        return read_image(image, semantic.shape), dict(score_sem=semantic, score_geo=geometric)

    classes = dict(score_sem=SEMANTIC, score_geo=GEOMETRIC)
    return Dataset(classes, read_split(root, split), read, files)
