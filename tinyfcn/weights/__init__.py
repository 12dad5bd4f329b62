"""Weights from elsewhere and our own: arrays by name, read from files of five kinds.

    arrays, about = read('fcn8s-heavy-pascal.caffemodel')       # under our names, '<box>.w'
    print(transplant(net, arrays))                              # copied, reshaped, left, missing
    save('fcn8s.safetensors', net.params, about)
"""
from ..files import FormatError, reading
from . import caffe, keras_h5, names, npz, safetensors_file as storage, torch_pickle
from .file import kind
from .safetensors_file import save
from .transplant import Report, transplant

__all__ = ['FormatError', 'Report', 'raw', 'read', 'save', 'transplant']

READERS = dict(safetensors=storage.load, torch=torch_pickle.load, npz=npz.load,
               keras=keras_h5.load, caffe=caffe.load)


def raw(path):
    """-> {name: array}, about, under the names of the file. Its first bytes choose the reader.

    about['format']: safetensors, torch, npz, keras or caffe
    """
    which = kind(path)
    arrays, about = READERS[which](path)
    return arrays, dict(about, format=which)


def read(path):
    """-> {'<box>.w': array, '<box>.b': array}, about

    about['source']: whose weights these are, 'tinyfcn' of our own files. about['preprocess']:
    dict(order, scale, mean, std), the image → (scale·image − mean) / std that they were trained
    on; None where nobody knows. about['bilinear']: a .caffemodel's fixed upsamplings.
    """
    arrays, about = raw(path)
    if about['format'] == 'safetensors' and storage.is_ours(path):
        arrays = storage.weights_only(arrays)
        return arrays, dict(source='tinyfcn', preprocess=None) | about
    with reading(path, 'file of weights'):
        arrays, found = names.ours(arrays)
    return arrays, about | found
