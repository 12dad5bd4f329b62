"""The table of sources: what a name must have to be of use, and names that are near."""
import json
import re

from tinyfcn.fetch.checksum import PREFIX_DIGITS
from tinyfcn.models import NETS
from tinyfcn.training.recipes import RECIPES
from tinyfcn.weights.sources import OTHER_NAMES, SOURCES, source_name, unknown_name

AUTHORS = ['fcn32s-heavy-pascal', 'fcn16s-heavy-pascal', 'fcn8s-heavy-pascal',
           'fcn8s-atonce-pascal', 'fcn-alexnet-pascal', 'nyud-fcn32s-color-heavy',
           'nyud-fcn32s-hha-heavy', 'nyud-fcn32s-color-hha-heavy',
           *(f'{data}-fcn{stride}s-heavy' for data in ('siftflow', 'pascalcontext')
             for stride in (32, 16, 8))]


def test_the_rows():
    assert {*SOURCES} == {
        'squeezenet', 'squeezenet1_1', 'googlenet', 'vgg16', 'vgg16_torchvision', 'caffenet',
        'alexnet_torchvision', 'resnet50', 'resnet101', 'fcn_resnet50', 'fcn_resnet101',
        'deeplabv3_resnet50', 'deeplabv3_resnet101', *AUTHORS,
        *(f'pascal-fcn{stride}s-dag' for stride in (32, 16, 8))}


def test_every_row_is_complete():
    for name, row in SOURCES.items():
        assert row.files and row.licence and row.citation, name
        assert row.net in NETS and row.n_class > 1, name
        assert json.dumps(row)
        files = [source.file for source in row.files]
        assert len({*files}) == len(files)              # they lie in one folder
        for source in row.files:
            assert re.fullmatch(r'[\w.-]+', source.file) and source.mirrors, name
            for mirror in source.mirrors:
                assert re.fullmatch(r'https?://[\w.-]+/[\w./~?&=-]+', mirror), mirror


def test_a_file_is_known_by_its_name():
    files = [source.file for row in SOURCES.values() for source in row.files]
    assert len({*files}) == len(files)


def test_checksums():
    """What has none is of the paper's authors alone; a prefix stands in the name of the file."""
    for name, row in SOURCES.items():
        for source in row.files:
            if source.checksum is None:
                assert name in AUTHORS and source.mirrors[0].startswith('http://dl.caffe.berkeley')
                continue
            assert re.fullmatch('[0-9a-f]+', source.checksum)
            assert len(source.checksum) in (*PREFIX_DIGITS, 32, 40, 64)
            in_name = re.search(r'-([0-9a-f]{8})\.pth$', source.file)
            if in_name:
                assert source.checksum.startswith(in_name[1]), source.file
            else:
                assert len(source.checksum) >= 32


def test_recipes_begin_with_weights_of_the_table():
    """Or with the weights of another recipe."""
    for recipe in RECIPES.values():
        first = recipe.get('init_from')
        for name in first.values() if isinstance(first, dict) else [first] * (first is not None):
            assert source_name(name) or name in RECIPES, name


def test_the_net_of_a_classifier_scores_its_classes():
    assert all(row.n_class == NETS[row.net].n_class for name, row in SOURCES.items()
               if not name.startswith('pascalcontext'))
    assert SOURCES['pascalcontext-fcn8s-heavy'].n_class == 60


def test_other_names():
    assert source_name('alexnet') == 'caffenet' and source_name('caffenet') == 'caffenet'
    assert source_name('alex') is None and source_name('../vgg16') is None
    assert not {*OTHER_NAMES} & {*SOURCES}


def test_an_unknown_name_is_answered_with_near_ones():
    assert 'did you mean squeezenet, squeezenet1_1?' in unknown_name('sqeezenet')
    assert 'fcn8s-heavy-pascal' in unknown_name('fcn8s-heavy')
    assert 'did you mean vgg16, vgg16_torchvision?' in unknown_name('VGG16')
    assert unknown_name('fcn32s').startswith("no weights are called 'fcn32s'; did you mean "
                                             'fcn32s-heavy-pascal, pascalcontext-fcn32s-heavy, ')
    assert unknown_name('\x1b') == r"no weights are called '\x1b'; `tinyfcn weights list` shows all"
