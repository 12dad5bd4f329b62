"""Names of every known source become those of the boxes; an unknown source is described."""

import numpy as np
import pytest
from optional_deps import needed
from weights_samples import bilinear_kernel, caffemodel, floats, keras_file

import tinyfcn
from tinyfcn import weights
from tinyfcn.layers import scale_width
from tinyfcn.models.resnet import DEEP, PLAIN
from tinyfcn.weights import FormatError, safetensors_file
from tinyfcn.weights.layouts import INCEPTION, LAYOUTS, RESNET101
from tinyfcn.weights.names import to_our_names

VGG = [(f'conv{block}_{i}', shape) for block, i, shape in
       [(b, i, (5, 3 if (b, i) == (1, 1) else 5, 3, 3))
        for b, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)]]
HEAD = [('fc6', (6, 5 * 49)), ('fc7', (6, 6)), ('fc8', (4, 6))]
LAYERS = {name: floats(*shape, seed=i) for i, (name, shape) in enumerate(VGG + HEAD)}
OURS = {f'{name}.{end}': array for name, w in LAYERS.items()
        for end, array in (('w', w), ('b', w.ravel()[:len(w)]))}

FEATURES = 0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28
TORCHVISION = dict(zip(LAYERS, [*(f'features.{i}' for i in FEATURES), 'classifier.0',
                                'classifier.3', 'classifier.6']))
DROPOUT_FIRST = {**TORCHVISION, 'fc6': 'classifier.1', 'fc7': 'classifier.4'}
TIMM = {**TORCHVISION, 'fc6': 'pre_logits.fc1', 'fc7': 'pre_logits.fc2', 'fc8': 'head.fc'}


def as_torch(layers):
    return {f'{layers[name[:-2]]}.{"weight" if name[-1] == "w" else "bias"}': array
            for name, array in OURS.items()}


def as_channels_last(w):
    """fc6 of a net whose pool5 is (H, W, C): the same weights in another order."""
    return w.reshape(len(w), 5, 7, 7).transpose(0, 2, 3, 1).reshape(len(w), -1)


def assert_same_as_ours(arrays):
    assert arrays.keys() == OURS.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array.reshape(OURS[name].shape), OURS[name], err_msg=name)
        assert array.flags.c_contiguous


def test_vgg_of_caffe(tmp_path):
    (tmp_path / 'x').write_bytes(caffemodel(
        [(name, 'InnerProduct' if name[:2] == 'fc' else 'Convolution',
          [w, w.ravel()[:len(w)]]) for name, w in LAYERS.items()], v1=True, old_shapes=True))
    arrays, about = weights.read(tmp_path / 'x')
    assert_same_as_ours(arrays)
    assert about == dict(name='small', bilinear={}, format='caffe', source='VGG-16 of Caffe',
                         preprocess=dict(order='BGR', scale=1., mean=(103.939, 116.779, 123.68),
                                         std=(1., 1., 1.)),
                         build=dict(name='vgg16', n_class=4, channels=3, width=5 / 64),
                         shorter_side=256)


@pytest.mark.parametrize('layers, source', [
    (TORCHVISION, 'torchvision'), (DROPOUT_FIRST, 'torchvision, dropout first'), (TIMM, 'timm')])
def test_vgg_of_torch(tmp_path, layers, source):
    torch = needed('torch')
    torch.save({f'module.{name}': torch.from_numpy(array)               # of DataParallel
                for name, array in as_torch(layers).items()}, tmp_path / 'x')
    arrays, about = weights.read(tmp_path / 'x')
    assert_same_as_ours(arrays)
    assert about == dict(format='torch', source=f'VGG-16 of {source}', preprocess=dict(
        order='RGB', scale=1 / 255, mean=(.485, .456, .406), std=(.229, .224, .225)),
        build=dict(name='vgg16', n_class=4, channels=3, width=5 / 64), shorter_side=256)
    needed('safetensors.numpy').save_file(as_torch(layers), tmp_path / 'y')
    assert_same_as_ours(weights.read(tmp_path / 'y')[0])


def test_vgg_of_frossard(tmp_path):
    arrays = {}
    for name, w in LAYERS.items():
        w = as_channels_last(w) if name == 'fc6' else w
        arrays[f'{name}_W'] = w.transpose(2, 3, 1, 0) if w.ndim == 4 else w.T
        arrays[f'{name}_b'] = OURS[f'{name}.b']
    np.savez(tmp_path / 'vgg16_weights.npz', **arrays)
    read, about = weights.read(tmp_path / 'vgg16_weights.npz')
    assert_same_as_ours(read)
    assert read['fc6.w'].shape == (6, 5, 7, 7)
    assert about['preprocess'] == dict(order='RGB', scale=1., mean=(123.68, 116.779, 103.939),
                                       std=(1., 1., 1.))


def test_vgg_of_keras(tmp_path):
    layers = {}
    for name, w in LAYERS.items():
        layer = dict(fc6='fc1', fc7='fc2', fc8='predictions').get(
            name, f'block{name[4:5]}_{name[:4]}{name[-1]}')
        w = as_channels_last(w) if name == 'fc6' else w
        layers[layer] = {f'{layer}/kernel:0': w.transpose(2, 3, 1, 0) if w.ndim == 4 else w.T,
                         f'{layer}/bias:0': OURS[f'{name}.b']}
    keras_file(tmp_path / 'x.h5', layers)
    arrays, about = weights.read(tmp_path / 'x.h5')
    assert_same_as_ours(arrays)
    assert about['source'] == 'VGG-16 of Keras' and about['preprocess']['order'] == 'BGR'


@pytest.mark.parametrize('name, ups', [
    ('fcn32s', dict(upscore=64)), ('fcn16s', dict(upscore2=4, upscore16=32)),
    ('fcn8s', dict(upscore2=4, upscore_pool4=4, upscore8=16))])
def test_the_nets_of_the_fcn_authors(tmp_path, name, ups):
    """A caffemodel like theirs fills the net of that name."""
    net = tinyfcn.build(name, n_class=21, width=1 / 64)
    layers = [(box, 'Convolution', [np.full_like(net.params[f'{box}.w'], i + 1),
                                    np.full_like(net.params[f'{box}.b'], i + 1)])
              for i, box in enumerate(name[:-2] for name in net.params if name.endswith('.w'))]
    layers += [(up, 'Deconvolution', [bilinear_kernel(21, k)]) for up, k in ups.items()]
    (tmp_path / 'heavy.caffemodel').write_bytes(caffemodel(layers))
    arrays, about = weights.read(tmp_path / 'heavy.caffemodel')
    assert about['bilinear'] == {up: (k, k) for up, k in ups.items()}
    assert about['source'] == 'FCN of its authors, Caffe'
    assert about['preprocess']['mean'] == (104.00699, 116.66877, 122.67892)
    report = weights.transplant(net, arrays)
    assert report.copied == [*net.params] and not any(report[1:4])
    for box, _, blobs in layers[:-len(ups)]:
        for end, blob in zip('wb', blobs):
            np.testing.assert_array_equal(net.params[f'{box}.{end}'], blob)


def with_suffix(layers, suffix='.w'):
    return {f'{layer}{suffix}': floats(2, 2, 1, 1) for layer in layers}


def fcn(n_class):
    return {**OURS, 'score_fr.w': floats(n_class, 6, 1, 1), 'score_fr.b': floats(n_class)}


CONVS = [f'conv{i}' for i in range(1, 6)]
GROUPS = {'conv2.w': floats(2, 1, 1, 1)}    # of CaffeNet, in which a filter reads half the channels
FIRE = [f'fire{i}/{part}' for i in range(2, 10)
        for part in ('squeeze1x1', 'expand1x1', 'expand3x3')]
FIRE_TORCH = ['features.0', *(f'features.{i}.{part}' for i in (3, 4, 6, 7, 9, 10, 11, 12)
                              for part in ('squeeze', 'expand1x1', 'expand3x3')), 'classifier.1']


@pytest.mark.parametrize('arrays, source, order, mean', [
    (with_suffix(['conv1', *FIRE, 'conv10']), 'SqueezeNet v1.1', 'BGR', 104.),
    (with_suffix(['conv1', *FIRE], '.weight'), 'SqueezeNet v1.1, npz', 'BGR', 104.),
    (with_suffix(FIRE_TORCH, '.weight'), 'SqueezeNet v1.1 of torchvision', 'RGB', .485),
    ({**with_suffix([*CONVS, 'fc6', 'fc7', 'fc8']), **GROUPS}, 'CaffeNet', 'BGR', 104.00699),
    ({**with_suffix([*CONVS, 'fc6', 'fc7', 'score_fr']), **GROUPS}, 'CaffeNet', 'BGR', 104.00699),
    (with_suffix([*CONVS, 'fc6', 'fc7', 'fc8']),
     'AlexNet of torchvision, under the names of Caffe', 'RGB', .485),
    (with_suffix(CONVS), 'AlexNet of torchvision, under the names of Caffe', 'RGB', .485),
    (with_suffix(['conv1/7x7_s2', 'conv2/3x3_reduce', 'conv2/3x3', *INCEPTION, 'loss3/classifier',
            'loss1/fc']), 'GoogLeNet of BVLC', 'BGR', 104.),
    (fcn(60), 'FCN of its authors, Caffe', 'BGR', 104.007),
    ({**OURS, **with_suffix(['score_fr_sem', 'score_fr_geo', 'score_pool4_sem'])},
     'FCN of its authors for SIFT Flow, Caffe', 'BGR', 114.578),
])
def test_other_sources(arrays, source, order, mean):
    read, about = to_our_names(arrays)
    assert about['source'] == source
    assert (about['preprocess']['order'], about['preprocess']['mean'][0]) == (order, mean)
    if source.startswith('SqueezeNet'):
        assert [*read][:4] == ['conv1.w', *(f'{layer}.w' for layer in FIRE[:3])]
    else:
        assert read.keys() == arrays.keys()


# ---- ResNet-101 ----------------------------------------------------------------------------------

def resnet_of_torch(width, n_class=7, deep=False):
    """A ResNet-101 whose modules have torchvision's names; a deep stem has three convolutions."""
    torch = needed('torch')
    nn = torch.nn

    def add_conv_and_norm(module, i, c, depth, ksize, stride=1):
        setattr(module, f'conv{i}', nn.Conv2d(c, depth, ksize, stride, ksize // 2, bias=False))
        setattr(module, f'bn{i}', nn.BatchNorm2d(depth))

    class Block(nn.Module):
        def __init__(self, c, depth, stride):
            super().__init__()
            add_conv_and_norm(self, 1, c, depth // 4, 1)
            add_conv_and_norm(self, 2, depth // 4, depth // 4, 3, stride)
            add_conv_and_norm(self, 3, depth // 4, depth, 1)
            self.downsample = None if c == depth else nn.Sequential(
                nn.Conv2d(c, depth, 1, stride, bias=False), nn.BatchNorm2d(depth))

        def forward(self, x):
            y = torch.relu(self.bn1(self.conv1(x)))
            y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
            return torch.relu(y + (self.downsample(x) if self.downsample else x))

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            c = 3
            stem = DEEP if deep else PLAIN
            self.stem = range(1, len(stem) + 1)
            for i, (depth, ksize, stride) in zip(self.stem, stem):
                add_conv_and_norm(self, i, c, scale_width(depth, width), ksize, stride)
                c = scale_width(depth, width)
            for i, blocks in enumerate((3, 4, 23, 3)):
                depth = scale_width(256 << i, width)
                setattr(self, f'layer{i + 1}', nn.Sequential(*(
                    Block(depth if j else c, depth, 2 if i and not j else 1)
                    for j in range(blocks))))
                c = depth
            self.fc = nn.Linear(c, n_class)

        def forward(self, x):
            for i in self.stem:
                x = torch.relu(getattr(self, f'bn{i}')(getattr(self, f'conv{i}')(x)))
            x = nn.functional.max_pool2d(x, 3, 2, 1)
            for i in 1, 2, 3, 4:
                x = getattr(self, f'layer{i}')(x)
            return self.fc(x.mean((2, 3)))

    torch.manual_seed(0)
    resnet = ResNet().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in resnet.modules():
            if isinstance(module, nn.BatchNorm2d):      # four arrays that differ from each other
                for array in module.weight, module.running_var:
                    array.uniform_(.5, 1.5, generator=generator)
                for array in module.bias, module.running_mean:
                    array.uniform_(-.5, .5, generator=generator)
    return torch, resnet


def test_scores_of_torchvisions_resnet(tmp_path):
    """At even sizes too, where a pool that rounds up has one row more."""
    torch, theirs = resnet_of_torch(1/16)
    torch.save(theirs.state_dict(), tmp_path / 'x')
    arrays, about = weights.read(tmp_path / 'x')
    assert about['source'] == 'ResNet-101 of torchvision'
    assert about['preprocess']['order'] == 'RGB' and about['preprocess']['mean'][0] == .485
    net = tinyfcn.build('resnet101', n_class=7, width=1/16, seed=None)
    report = weights.transplant(net, arrays)
    assert report.reshaped == ['fc.w'] and not report.unused and not report.missing
    assert len(report.copied) + 1 == len(net.params) + len(net.state)
    for size in (33, 41), (64, 96), (224, 224), (225, 225):
        image = 10 * floats(2, 3, *size)
        with torch.no_grad():
            expected = theirs(torch.from_numpy(image)).numpy()
        got = net.forward(image)[:, :, 0, 0]
        most = abs(expected).max()
        assert abs(got - expected).max() <= 1e-5 * most, size           # of 104 layers in float32
        assert abs(got[0] - got[1]).max() > 1e-3 * most


@pytest.mark.parametrize('name, deep', [('deeplab_resnet101', False), ('pspnet', True)])
def test_a_backbone_is_filled_from_resnet(tmp_path, name, deep):
    """With PSPNet's deep stem too: only new layers are missing, and only the classifier is left."""
    torch, theirs = resnet_of_torch(1/32, deep=deep)
    torch.save(theirs.state_dict(), tmp_path / 'x')
    net = tinyfcn.build(name, width=1/32, seed=None)
    report = weights.transplant(net, weights.read(tmp_path / 'x')[0])
    assert report.unused == ['fc.w', 'fc.b'] and not report.reshaped
    backbone = {name for name in [*net.params, *net.state]
                if name.startswith(('layer', 'conv1.', 'conv2.', 'conv3.', 'bn1.', 'bn2.', 'bn3.'))}
    assert {*report.copied} == backbone


def test_the_score_layer_for_other_classes_is_not_filled():
    arrays, _ = to_our_names({name: array.numpy() for name, array in
                      resnet_of_torch(1/32)[1].state_dict().items()})
    report = weights.transplant(tinyfcn.build('resnet101', n_class=9, width=1/32), arrays)
    assert report.unused == ['fc.w', 'fc.b'] and not report.missing


def test_resnets_of_other_depths_are_refused():
    arrays = {f'{layer.replace("/", ".")}.weight': floats(2) for layer in RESNET101}
    with pytest.raises(FormatError, match='ResNet-101 of torchvision, would not have layer3.23.c'):
        to_our_names({**arrays, 'layer3.23.conv1.weight': floats(2)})
    with pytest.raises(FormatError, match='ResNet-101 of torchvision, would have layer4.2.bn1, '):
        to_our_names({name: w for name, w in arrays.items() if not name.startswith('layer4.2')})


def test_the_preprocessing_of_forty_classes_is_unknown():
    assert to_our_names(fcn(40))[1]['preprocess'] is None


def test_a_custom_head_keeps_its_name():
    arrays, about = to_our_names({**as_torch(TORCHVISION), 'classifier.9.weight': floats(2, 4),
                          'extra.steps': floats(1)})
    assert about['source'] == 'VGG-16 of torchvision'
    assert [*arrays][-2:] == ['classifier.9.w', 'extra.steps']


def test_every_table_names_a_box_once():
    for layout in LAYOUTS:
        boxes = [*layout.required.values(), *layout.optional.values()]
        assert len(boxes) == len({*boxes}), layout.name


def test_the_names_are_those_of_the_nets():
    net = tinyfcn.build('fcn32s', seed=None, width=1 / 16)
    boxes = {name[:-2] for name in net.params}
    vgg = next(layout for layout in LAYOUTS if layout.name == 'VGG-16 of Caffe')
    assert {*vgg.required.values()} < boxes and {'fc6', 'fc7'} < boxes


@pytest.mark.parametrize('arrays, message', [
    ({**OURS, 'conv3_4.w': floats(2)}, 'The nearest, .*VGG-16.*would not have conv3_4'),
    ({k: v for k, v in OURS.items() if 'conv5' not in k},
     'would have conv5_1, conv5_2, conv5_3'),
    ({'encoder.weight': floats(2, 3)}, r'its 1 arrays are of no known source: encoder.weight '
                                       r'\(2, 3\), …\. Known: FCN of its authors.*`read_raw`'),
    ({**as_torch(TORCHVISION), 'features.30.weight': floats(2)}, 'would not have features.30'),
], ids=['VGG-19', 'without conv5', 'another net', 'VGG-19 of torch'])
def test_an_unknown_source_is_described(tmp_path, arrays, message):
    needed('safetensors.numpy').save_file(arrays, tmp_path / 'x')
    with pytest.raises(FormatError, match=f'x: .*{message}'):
        weights.read(tmp_path / 'x')
    raw, _ = weights.read_raw(tmp_path / 'x')
    assert raw.keys() == safetensors_file.load(tmp_path / 'x')[0].keys()


def test_a_source_with_few_layers_in_common_is_not_called_near():
    arrays = {**{f'blocks.{i}.weight': floats(2) for i in range(9)}, 'classifier.0.bias': floats(2)}
    with pytest.raises(FormatError, match='no known source: .*Known: FCN of its authors') as error:
        to_our_names(arrays)
    assert 'nearest' not in str(error.value)
    with pytest.raises(FormatError, match='The nearest, VGG-16') as error:
        to_our_names({**OURS, 'conv3_4.w': floats(2)})
    assert 'Known: ' not in str(error.value)            # some thirty names


# ---- Prefixes ------------------------------------------------------------------------------------

@pytest.mark.parametrize('prefix', [
    '_orig_mod.', 'module.', 'model.', 'net.', 'network.', 'timm_model.', 'backbone.',
    'module._orig_mod.',
    '_orig_mod.module.', 'model.backbone.', 'model.module._orig_mod.timm_model.'])
def test_a_prefix_that_all_names_share_is_stripped(prefix):
    arrays = {f'{prefix}{name}': array for name, array in as_torch(TORCHVISION).items()}
    read, about = to_our_names(arrays)
    assert_same_as_ours(read)
    assert about['source'] == 'VGG-16 of torchvision'


def test_a_prefix_that_most_names_share_is_stripped():
    """A backbone and the head of a user's own class beside it."""
    arrays = {f'model.backbone.{name}': array for name, array in as_torch(TORCHVISION).items()}
    read, _ = to_our_names({**arrays, 'model.head.weight': floats(2), 'loss.weight': floats(3)})
    assert read.keys() - OURS.keys() == {'head.w', 'loss.w'}


def test_counters_are_no_weights():
    """AveragedModel of PyTorch has n_averaged before the weights."""
    arrays = {f'module.{name}': array for name, array in as_torch(TORCHVISION).items()}
    assert_same_as_ours(to_our_names({'n_averaged': np.array(3), **arrays})[0])


def test_a_prefix_of_a_few_names_is_kept():
    arrays = {**as_torch(TORCHVISION), 'model.extra.weight': floats(2), 'module.b.bias': floats(1)}
    assert to_our_names(arrays)[0].keys() - OURS.keys() == {'model.extra.w', 'module.b.b'}


def test_names_that_would_collide_keep_their_prefix():
    arrays = {f'model.{name}': array for name, array in as_torch(TORCHVISION).items()}
    with pytest.raises(FormatError, match=r'of no known source'):
        to_our_names({**arrays, 'features.0.weight': floats(2)})


# ---- Keras ---------------------------------------------------------------------------------------

def keras_vgg(path, side):
    """A Keras VGG-16 for images of 32·side pixels: fc1 has side·side·512 inputs, here ·5."""
    layers = {}
    for name, w in LAYERS.items():
        layer = dict(fc6='fc1', fc7='fc2', fc8='predictions').get(
            name, f'block{name[4:5]}_{name[:4]}{name[-1]}')
        if name == 'fc6':
            w = floats(6, side)
        layers[layer] = {'kernel:0': w.transpose(2, 3, 1, 0) if w.ndim == 4 else w.T,
                         'bias:0': OURS[f'{name}.b']}
    keras_file(path, layers)
    return layers['fc1']['kernel:0']


@pytest.mark.parametrize('k', [1, 4, 7, 14])
def test_a_keras_vgg_for_images_of_another_size(tmp_path, k):
    w = keras_vgg(tmp_path / 'x.h5', 5 * k * k)
    arrays, about = weights.read(tmp_path / 'x.h5')
    assert arrays['fc6.w'].shape == (6, 5, k, k) and about['source'] == 'VGG-16 of Keras'
    y, x = k - 1, k // 2
    np.testing.assert_array_equal(arrays['fc6.w'][2, 3, y, x], w[(y * k + x) * 5 + 3, 2])


def test_a_keras_vgg_whose_fc_layer_is_no_square_is_not_called_damaged(tmp_path):
    keras_vgg(tmp_path / 'x.h5', 5 * 3 * 4)
    with pytest.raises(FormatError, match='has 60 inputs, which are not a square for each of the 5 '
                                          'channels of conv5_3.*include_top=False') as error:
        weights.read(tmp_path / 'x.h5')
    assert 'damaged' not in str(error.value)


def test_the_weights_of_keras_3_are_described(tmp_path):
    h5py = needed('h5py')
    with h5py.File(tmp_path / 'x.weights.h5', 'w') as file:
        file['layers/conv2d/vars/0'] = floats(3, 3, 2, 2)
        file.create_group('layers/input_layer/vars')
        file.create_group('optimizer/vars')
    with pytest.raises(FormatError, match=r"of Keras 3.*model\.save\('net\.h5'\)"):
        weights.read(tmp_path / 'x.weights.h5')


# ---- Names that want much time -------------------------------------------------------------------

@pytest.mark.parametrize('names', [
    ['model.' * 200_000 + 'w'], [f'{i}.weight' for i in range(5000)],
    ['features.' * 100_000 + f'{i}.weight' for i in range(10)]], ids=['prefixes', 'many', 'long'])
def test_strange_names_are_refused_in_a_short_time(names):
    """Without limits on names and their number some of these would take minutes."""
    arrays = {name: floats(1) for name in names}
    with pytest.raises(FormatError, match='no known source'):
        to_our_names(arrays)
    net = tinyfcn.build('fcn8s', width=1 / 64)
    with pytest.raises(ValueError, match='nothing to copy') as error:
        weights.transplant(net, arrays)
    assert len(str(error.value)) < 1500
