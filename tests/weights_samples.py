"""Small files of weights as official writers write them: protobuf, torch, h5py."""
from collections import OrderedDict
from functools import lru_cache
from importlib import import_module

import numpy as np
from optional_deps import needed


def floats(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, 'float32')


# ---- Caffe: the part of its schema that concerns weights, as protobuf descriptors

REPEATED = 3
OPTIONAL = 1
DOUBLE, FLOAT, INT64, INT32, STRING, MESSAGE, ENUM = 1, 2, 3, 5, 9, 11, 14
SCHEMA = {
    'BlobShape': [('dim', 1, REPEATED, INT64, 'packed')],
    'BlobProto': [('shape', 7, OPTIONAL, MESSAGE, 'BlobShape'),
                  ('data', 5, REPEATED, FLOAT, 'packed'), ('diff', 6, REPEATED, FLOAT, 'packed'),
                  ('double_data', 8, REPEATED, DOUBLE, 'packed'),
                  ('num', 1, OPTIONAL, INT32, ''), ('channels', 2, OPTIONAL, INT32, ''),
                  ('height', 3, OPTIONAL, INT32, ''), ('width', 4, OPTIONAL, INT32, '')],
    'LayerParameter': [('name', 1, OPTIONAL, STRING, ''), ('type', 2, OPTIONAL, STRING, ''),
                       ('bottom', 3, REPEATED, STRING, ''), ('top', 4, REPEATED, STRING, ''),
                       ('loss_weight', 5, REPEATED, FLOAT, ''),
                       ('blobs', 7, REPEATED, MESSAGE, 'BlobProto')],
    'V1LayerParameter': [('bottom', 2, REPEATED, STRING, ''), ('top', 3, REPEATED, STRING, ''),
                         ('name', 4, OPTIONAL, STRING, ''), ('type', 5, OPTIONAL, ENUM, 'Type'),
                         ('blobs', 6, REPEATED, MESSAGE, 'BlobProto'),
                         ('blobs_lr', 7, REPEATED, FLOAT, '')],
    'NetParameter': [('name', 1, OPTIONAL, STRING, ''),
                     ('layers', 2, REPEATED, MESSAGE, 'V1LayerParameter'),
                     ('input', 3, REPEATED, STRING, ''), ('input_dim', 4, REPEATED, INT32, ''),
                     ('layer', 100, REPEATED, MESSAGE, 'LayerParameter')],
}
V1_TYPES = dict(NONE=0, CONVOLUTION=4, DATA=5, INNER_PRODUCT=14, RELU=18, DECONVOLUTION=39)
V1_NAMES = dict(Convolution='CONVOLUTION', InnerProduct='INNER_PRODUCT', ReLU='RELU',
                Deconvolution='DECONVOLUTION')


@lru_cache
def net_parameter():
    """The class of Caffe's NetParameter, made by protobuf from the schema above."""
    descriptor = needed('google.protobuf.descriptor_pb2')
    descriptor_pool = import_module('google.protobuf.descriptor_pool')
    message_factory = import_module('google.protobuf.message_factory')
    file = descriptor.FileDescriptorProto(name='part_of_caffe.proto', package='caffe')
    for message_name, fields in SCHEMA.items():
        message = file.message_type.add(name=message_name)
        for name, number, label, type_, extra in fields:
            field = message.field.add(name=name, number=number, label=label, type=type_)
            if extra == 'packed':
                field.options.packed = True
            elif extra:
                field.type_name = f'.caffe.{extra}'
    enum = file.enum_type.add(name='Type')
    for name, number in V1_TYPES.items():
        enum.value.add(name=name, number=number)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('caffe.NetParameter'))


def caffemodel(layers, v1=False, old_shapes=False, doubles=False):
    """[(name, type, blobs), …] -> the bytes of a .caffemodel of either generation"""
    net = net_parameter()(name='small', input=['data'], input_dim=[1, 3, 8, 8])
    for name, type_, blobs in layers:
        if v1:
            layer = net.layers.add(name=name, type=V1_TYPES[V1_NAMES[type_]], bottom=['x'])
        else:
            layer = net.layer.add(name=name, type=type_, bottom=['x'], loss_weight=[1.])
        for array in blobs:
            blob = layer.blobs.add()
            (blob.double_data if doubles else blob.data).extend(array.ravel().tolist())
            if old_shapes:
                sizes = (1,) * (4 - array.ndim) + array.shape
                blob.num, blob.channels, blob.height, blob.width = sizes
            else:
                blob.shape.dim.extend(array.shape)
    return net.SerializeToString()


def bilinear_kernel(channels, k):
    """Caffe's bilinear filler, dense, by the formula of Caffe's source."""
    f = -(-k // 2)
    c = (k - 1) / (2 * f)
    one_axis = [1 - abs(i / f - c) for i in range(k)]
    w = np.zeros((channels, channels, k, k), 'float32')
    w[range(channels), range(channels)] = np.outer(one_axis, one_axis)
    return w


SMALL_CAFFE = [('conv1', 'Convolution', (floats(4, 3, 3, 3), floats(4))), ('relu1', 'ReLU', ()),
                ('fc6', 'InnerProduct', (floats(5, 16), floats(5))),
                ('score', 'Convolution', (floats(2, 5, 1, 1), floats(2)))]


# ---- torch, h5py

def state_dict():
    """Every dtype and layout of tensor that a state dict may hold."""
    torch = needed('torch')
    x = torch.from_numpy(floats(6, 4))
    return OrderedDict({
        'contiguous': x, 'view': x[1:4, ::2], 'transposed': x.t(), 'scalar': torch.tensor(3.),
        'parameter': torch.nn.Parameter(x.clone()), 'empty': torch.zeros(0, 3),
        'half': x.half(), 'bfloat16': x.bfloat16()[1:], 'double': x.double(),
        'bool': x > 0, 'int8': torch.arange(3, dtype=torch.int8), 'long': torch.arange(5)})


def as_numpy(tensor):
    tensor = tensor.detach()
    is_half = str(tensor.dtype) in ('torch.float16', 'torch.bfloat16')
    return (tensor.float() if is_half else tensor).numpy()


def keras_file(path, layers, whole_model=False, **kwargs):
    """{layer: {weight name: array}} -> a file as Keras' save_weights leaves it"""
    h5py = needed('h5py')
    with h5py.File(path, 'w', **kwargs) as file:
        root = file.create_group('model_weights') if whole_model else file
        root.attrs['layer_names'] = [layer.encode() for layer in layers]
        for layer, weights in layers.items():
            group = root.create_group(layer)
            group.attrs['weight_names'] = [name.encode() for name in weights]
            for name, array in weights.items():
                group.create_dataset(name, data=array)


SMALL_KERAS = {'input_1': {}, 'fire2/squeeze1x1': {'uniform2': floats(1, 1, 4, 6),
                                                   'fire2/squeeze1x1_b': floats(6)},
                'dense': {'dense/kernel:0': floats(8, 3), 'dense/bias:0': floats(3)},
                'bn': {'gamma:0': floats(4), 'beta:0': floats(4), 'mean:0': floats(4)}}


# ---- MatConvNet

# the layers of the FCNs of 2015 that have another name than those of 2017
NAMES_OF_2015 = dict(upscore2='score2', upscore_pool4='score4', upscore='upsample',
                     upscore16='upsample_new', upscore8='upsample')
VOC_AVERAGE = np.array([122.67891434, 116.66876762, 104.00698793])      # red green blue


def dagnn_layers(layers):
    """[(name, type, arrays as in MATLAB), …] -> the variables layers and params of a DagNN"""
    rows = []
    params = []
    for name, type_, arrays in layers:
        names = [name + end for end in ('_filter', '_bias', '_moments')][:len(arrays)]
        params += [(param, array, 1., 0.) for param, array in zip(names, arrays)]
        rows.append((name, f'dagnn.{type_}', _cells('x'), _cells(name), _cells(*names),
                     dict(hasBias=1.)))
    return dict(
        layers=np.array(rows, [(key, object) for key in
                               ('name', 'type', 'inputs', 'outputs', 'params', 'block')]),
        params=np.array(params, [(key, object) for key in
                                 ('name', 'value', 'learningRate', 'weightDecay')]))


def _cells(*values):
    cells = np.empty((1, len(values)), object)
    cells[0] = values
    return cells


def meta(average=VOC_AVERAGE, classes=()):
    return dict(normalization=dict(averageImage=average, keepAspect=1.),
                classes=dict(description=_cells(*classes)))


def as_hwio(w):
    """What MATLAB has of an OIHW filter, or of (in, out, kh, kw) of a deconvolution."""
    return w.transpose(2, 3, 1, 0)


def dagnn_of(params, upsampling=()):
    """The layers of a net with these params; upsampling: {box: its weights}"""
    layers = []
    for box in (name[:-2] for name in params if name.endswith('.w')):
        kind = 'ConvTranspose' if box.startswith('up') else 'Conv'
        arrays = [as_hwio(params[f'{box}.w'])]
        if f'{box}.b' in params:
            arrays.append(params[f'{box}.b'][:, None])
        layers.append((NAMES_OF_2015.get(box, box), kind, arrays))
    return layers + [(NAMES_OF_2015[box], 'ConvTranspose', [as_hwio(w)])
                     for box, w in dict(upsampling).items()]
