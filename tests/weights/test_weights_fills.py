"""Every layout says which net of `build` its files fill, and such a file fills it as a whole."""
import numpy as np
import pytest
from optional_deps import needed
from weights_samples import bilinear_kernel, caffemodel, floats

import tinyfcn
from tinyfcn import weights
from tinyfcn.models import nearest
from tinyfcn.weights import FormatError
from tinyfcn.weights.layouts import (
    FCN,
    FCN_TORCH,
    LAYOUTS,
    NYUD_COLOUR,
    NYUD_HHA,
    RGB_NORMALISED,
    VOC_MEAN,
    bgr,
    unchanged,
)
from tinyfcn.weights.names import to_our_names
from tinyfcn.weights.nearest import compare_with_nets, describe_nearest
from tinyfcn.weights.sources import SOURCES

WIDTH = 1 / 32
CASES = [(layout, known.net) for layout in LAYOUTS for known in layout.nets
         if layout.convert is unchanged]
AUX = 'aux_classifier'


def random_net(name, width=WIDTH, **kwargs):
    net = tinyfcn.build(name, width=width, seed=None, **kwargs)
    for i, (key, w) in enumerate({**net.params, **net.state}.items()):
        w[...] = floats(*w.shape, seed=i)
        if key.endswith('.var'):
            w[...] = abs(w) + .5
    return net


def as_file(net, layout):
    """The weights of a net under the names of a layout."""
    layers = {box: layer for layer, box in (layout.required | layout.optional).items()}
    ends = {ours: theirs for theirs, ours in layout.suffixes.items()}
    arrays = {}
    for name, array in {**net.params, **net.state}.items():
        box, _, end = name.rpartition('.')
        arrays[layers.get(box, box) + ends[f'.{end}']] = array
    return arrays


def constants(layout, net):
    """The fixed factors that Caffe has as weights."""
    has_them = layout is FCN and net == 'fcn8s_at_once'
    return {name: floats(1) for name in layout.constants} if has_them else {}


@pytest.mark.parametrize('layout, name', CASES, ids=lambda x: getattr(x, 'name', x))
def test_a_file_fills_the_net_that_it_is_of(layout, name):
    width = 1 / 16 if layout.name == 'CaffeNet' else WIDTH      # of an even number of filters
    net = random_net(name, width)
    arrays, about = to_our_names({**as_file(net, layout), **constants(layout, name)})
    if layout is FCN_TORCH and name == 'fcn8s_at_once':
        assert about['build']['name'] == 'fcn8s'        # see below
        return
    assert about['source'] == layout.name
    channels, n_class = net.data.channels, net.about['build']['n_class']
    assert about['build'] == dict(name=name, n_class=n_class, channels=channels, width=width)
    filled = tinyfcn.build(**about['build'], seed=None)
    report = weights.transplant(filled, arrays)
    assert not report.missing and not report.unused
    for key, w in {**net.params, **net.state}.items():
        np.testing.assert_array_equal({**filled.params, **filled.state}[key], w, err_msg=key)


def test_every_net_that_the_table_names_can_be_built():
    named = {known.net for layout in LAYOUTS for known in layout.nets}
    assert named <= {*tinyfcn.models.NETS}
    assert {'vgg16', 'alexnet', 'googlenet', 'squeezenet', 'resnet50', 'resnet101', 'fcn32s',
            'fcn16s', 'fcn8s', 'fcn8s_at_once', 'fcn_alexnet', 'fcn_resnet50',
            'deeplabv3_resnet101', 'siftflow_8s', 'nyud_rgb_hha_32s'} <= named


@pytest.mark.parametrize('n_class, channels', [(5, 3), (60, 3), (40, 4), (2, 1)])
def test_other_numbers_of_classes_and_channels(n_class, channels):
    net = random_net('fcn16s', n_class=n_class, channels=channels)
    _, about = to_our_names(dict(net.params))
    assert about['build'] == dict(name='fcn16s', n_class=n_class, channels=channels, width=WIDTH)


def test_a_trunk_fills_no_net():
    arrays = {name: w for name, w in random_net('vgg16').params.items() if 'fc8' not in name}
    assert 'build' not in to_our_names(arrays)[1]


@pytest.mark.parametrize('width', [0, 5])
def test_a_first_layer_of_no_known_width_fills_no_net(width):
    arrays = dict(random_net('squeezenet').params)
    arrays['conv1.w'] = np.ones((64 * width, 3, 3, 3), 'float32')
    assert 'build' not in to_our_names(arrays)[1]


# ---- the two sensors of NYUDv2

def test_the_authors_net_for_colour_and_hha(tmp_path):
    net = random_net('nyud_rgb_hha_32s', n_class=4)
    layers = [(name[:-2], 'Convolution', [w, net.params[f'{name[:-2]}.b']])
              for name, w in net.params.items() if name.endswith('.w')]
    layers.append(('upscore', 'Deconvolution', [bilinear_kernel(4, 64)]))
    path = tmp_path / 'nyud-fcn32s-color-hha-heavy.caffemodel'
    path.write_bytes(caffemodel(layers))
    arrays, about = weights.read(path)
    assert about['preprocess'] == bgr(*NYUD_COLOUR, *NYUD_HHA)
    assert about['build']['name'] == 'nyud_rgb_hha_32s' and about['build']['channels'] == 6
    assert about['bilinear'] == dict(upscore=(64, 64))
    report = weights.transplant(tinyfcn.build(**about['build'], seed=None), arrays)
    assert not report.missing and not report.unused


# ---- pytorch-fcn

UPS = dict(fcn32s=dict(upscore=64), fcn16s=dict(upscore2=4, upscore16=32),
           fcn8s=dict(upscore2=4, upscore_pool4=4, upscore8=16),
           fcn8s_at_once=dict(upscore2=4, upscore_pool4=4, upscore8=16))


@pytest.mark.parametrize('name, file', [
    ('fcn32s', 'fcn32s_from_caffe.pth'), ('fcn16s', 'fcn16s_from_caffe.pth'),
    ('fcn8s', 'fcn8s_from_caffe.pth'), ('fcn8s_at_once', 'fcn8s-atonce_from_caffe.pth')])
def test_the_authors_nets_converted_for_pytorch(tmp_path, name, file):
    """With the weights of its fixed upsampling, as pytorch-fcn has them."""
    torch = needed('torch')
    net = random_net(name)
    saved = as_file(net, FCN_TORCH)
    saved |= {f'{box}.weight': bilinear_kernel(21, k) for box, k in UPS[name].items()}
    torch.save({key: torch.from_numpy(w) for key, w in saved.items()}, tmp_path / file)
    arrays, about = weights.read(tmp_path / file)
    assert about['build']['name'] == name
    assert about['bilinear'] == {box: (k, k) for box, k in UPS[name].items()}
    assert 'remark' not in about
    filled = tinyfcn.build(**about['build'], seed=None)
    report = weights.transplant(filled, arrays)
    assert not report.missing and not report.unused
    image = floats(1, 3, 33, 40)
    np.testing.assert_array_equal(filled.forward(image), net.forward(image))


def test_the_two_nets_of_the_same_names_are_told_apart_where_the_file_says_it(tmp_path):
    torch = needed('torch')
    saved = {key: torch.from_numpy(w)
             for key, w in as_file(random_net('fcn8s'), FCN_TORCH).items()}
    for arch, name in ('FCN8s', 'fcn8s'), ('FCN8sAtOnce', 'fcn8s_at_once'):
        torch.save({'arch': arch, 'model_state_dict': saved}, tmp_path / 'model_best.pth.tar')
        _, about = weights.read(tmp_path / 'model_best.pth.tar')
        assert about['build']['name'] == name and 'remark' not in about
    torch.save(saved, tmp_path / 'model.pth')
    assert 'fcn8s_at_once has weights of the same names' in weights.read(
        tmp_path / 'model.pth')[1]['remark']


def test_learned_upsampling_of_pytorch():
    net = random_net('fcn8s', up='learned')
    arrays, about = to_our_names(as_file(net, FCN_TORCH))
    assert about['build']['up'] == 'learned' and 'bilinear' not in about
    report = weights.transplant(tinyfcn.build(**about['build'], seed=None), arrays)
    assert not report.missing and not report.unused


# ---- torchvision's nets, and their mirrors

@pytest.mark.parametrize('name', ['fcn_resnet50', 'deeplabv3_resnet101'])
@pytest.mark.parametrize('prefix, stem, aux', [
    ('backbone.', False, True), ('backbone.', True, True), ('module.backbone.', False, False)])
def test_torchvisions_nets_and_their_mirrors(name, prefix, stem, aux):
    """torchvision's own names; a module for the stem; without the auxiliary head."""
    layout = next(layout for layout in LAYOUTS for known in layout.nets if known.net == name)
    net = random_net(name)
    saved = {}
    for key, array in as_file(net, layout).items():
        if 'classifier' in key:
            if aux or not key.startswith(AUX):
                saved[prefix.removesuffix('backbone.') + key] = array
        elif stem and key.startswith(('conv1.', 'bn1.')):
            saved[prefix + key.replace('conv1.', 'stem.0.').replace('bn1.', 'stem.1.')] = array
        else:
            saved[prefix + key] = array
    arrays, about = to_our_names(saved)
    assert about['source'] == layout.name and about['build']['name'] == name
    assert about['preprocess'] == RGB_NORMALISED
    report = weights.transplant(tinyfcn.build(**about['build'], seed=None), arrays)
    assert not report.unused and all(box.startswith(AUX) for box in report.missing)
    assert bool(report.missing) != aux


# ---- files of no known source

@pytest.fixture(scope='module')
def shapes():
    """The shapes of all nets, as they are built."""
    found = {}
    for name in tinyfcn.models.NETS:
        net = tinyfcn.build(name, width=WIDTH, seed=None)
        found[name] = {key: w.shape for key, w in {**net.params, **net.state}.items()}
    return found


@pytest.mark.parametrize('name', ['unet', 'segnet', 'pspnet', 'deconvnet', 'fcn_squeezenet_4s'])
def test_the_nearest_net_of_a_whole_file_is_its_own(shapes, name):
    first, *_ = compare_with_nets(dict(random_net(name).params), {name: shapes[name], **shapes})
    own = {key for key in shapes[name] if not key.endswith(('.mean', '.var'))}
    assert {*first.same} == own and not first.unused and not first.other_shape


def test_the_nearest_nets_are_described(shapes):
    arrays = dict(random_net('fcn8s', n_class=9).params)
    del arrays['conv1_2.w'], arrays['score_pool3.w'], arrays['score_pool3.b']
    first, *_ = compare_with_nets({**arrays, 'extra.w': floats(2)}, shapes)
    assert first.net == 'fcn16s' and first.missing == ['conv1_2.w'] and first.unused == ['extra.w']
    lines = describe_nearest(compare_with_nets(arrays, shapes)).splitlines()
    assert len(lines) == 3
    assert lines[0] == ('fcn16s: 29 of 34 weights; of another shape score_fr.w is (9, 128, 1, 1) '
                        'and not (21, 128, 1, 1), score_fr.b is (9,) and not (21,), score_pool4.w '
                        'is (9, 16, 1, 1) and not (21, 16, 1, 1) and 1 more; missing conv1_2.w')


def test_names_of_pytorch_are_compared_too(shapes):
    arrays = {f'module.{name.replace("/", ".")[:-2]}.weight': w
              for name, w in random_net('unet').params.items() if name.endswith('.w')}
    first, *_ = compare_with_nets(arrays, shapes)
    assert first.net in ('unet', 'unet_same') and len(first.same) == len(arrays)


def test_counters_are_not_called_unused(shapes):
    arrays = {name: w for name, w in random_net('resnet50').params.items() if 'layer4' not in name}
    first, *_ = compare_with_nets({**arrays, 'bn1.num_batches_tracked': np.array(7)}, shapes)
    assert not first.unused and all('layer4' in name or name.endswith(('.mean', '.var'))
                                    for name in first.missing)


def test_nothing_in_common_is_near_to_nothing(shapes):
    assert compare_with_nets({'encoder.0.gamma': floats(3)}, shapes) == []
    # two names of hundreds, as SqueezeNet v1.0 of torchvision has in common with its FCNs
    arrays = {f'features.{i}.bias': floats(3) for i in range(50)}
    assert compare_with_nets({**arrays, 'classifier.1.bias': floats(9)}, shapes) == []
    assert describe_nearest([]) == ''


def test_load_says_which_nets_a_file_is_nearest_to(tmp_path, monkeypatch):
    few = {name: tinyfcn.models.NETS[name] for name in ('unet', 'squeezenet', 'tiny_8s')}
    monkeypatch.setattr(nearest, 'NETS', few)           # all of them take seconds
    np.savez(tmp_path / 'x.npz', **tinyfcn.build('unet', n_class=2, width=WIDTH).params)
    with pytest.raises(FormatError, match=r'(?s)x\.npz: its 46 arrays are of no known source.*'
                                          r'\nThe nearest nets of tinyfcn:\nunet') as error:
        tinyfcn.load(tmp_path / 'x.npz')
    assert 'conv1_2.w is (2, 2, 3, 3) and not (64, 64, 3, 3)' in str(error.value)
    np.savez(tmp_path / 'x.npz', other=floats(3))
    with pytest.raises(FormatError, match='of no known source') as error:
        tinyfcn.load(tmp_path / 'x.npz')
    assert 'nearest nets' not in str(error.value)


def test_every_published_file_has_a_layout_that_names_its_net():
    """Of the table of sources; the nets of one sensor of NYUDv2 are FCN-32s with other names."""
    named = {known.net for layout in LAYOUTS for known in layout.nets}
    assert {source.net for source in SOURCES.values()} - named <= {'nyud_rgb_32s', 'nyud_hha_32s'}


def test_the_mean_of_voc_belongs_to_21_classes():
    assert to_our_names(dict(random_net('fcn32s').params))[1]['preprocess'] == bgr(*VOC_MEAN)
