"""Weights by name, from files of six formats, into nets.

    arrays, about = read('fcn8s-heavy-pascal.caffemodel')       # as in net.params: '<box>.w'
    print(transplant(net, arrays))                              # copied, reshaped, unused, missing
    save('fcn8s.safetensors', net.params, about)

Every format has a module with load(path) -> {name: array}, about, where `about` is a dict of the
metadata in the file. Any file that cannot be read raises FormatError.
"""
from pathlib import Path
from typing import Any

from ..files import FormatError, describe_read_errors
from . import caffe, keras_h5, matconvnet, names, npz, safetensors_file, torch_pickle
from .about import is_complete
from .arrays import Arrays
from .detect import detect_format
from .export.torch_names import from_state_dict
from .find import find_weights
from .finite import require_finite
from .safetensors_file import save
from .transplant import Report, transplant

__all__ = ['FormatError', 'Report', 'read', 'read_raw', 'require_finite', 'save', 'transplant']

LOADERS = dict(safetensors=safetensors_file.load, torch=torch_pickle.load, npz=npz.load,
               keras=keras_h5.load, caffe=caffe.load, matconvnet=matconvnet.load)


def read_raw(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """-> {name: array}, about, under the names of the file. Its first bytes decide the format.

    path: the file; the folder of a run, of which the best checkpoint is taken; or a name, as in
    `tinyfcn weights list`, of weights in the cache
    about['format']: safetensors, torch, npz, keras, caffe or matconvnet

    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f'{folder}/a.npz', conv1_W=np.zeros((3, 3, 1, 8)))
    ...     arrays, about = read_raw(f'{folder}/a.npz')
    >>> arrays['conv1_W'].shape, about
    ((3, 3, 1, 8), {'format': 'npz'})
    """
    path = find_weights(Path(path))
    file_format = detect_format(path)
    arrays, about = LOADERS[file_format](path)
    return arrays, dict(about, format=file_format)


def read(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """-> {'<box>.w': array, '<box>.b': array}, about: names and shapes as in net.params

    about['source']: where the weights come from, 'tinyfcn' for a file of `save` or `export_net`.
    about['preprocess']: dict(order, scale, mean, std), the image → (scale·image − mean) / std that
    they were trained on; None if unknown. about['build']: the arguments of tinyfcn.build for the
    net that they fill, if there is one. about['bilinear']: the upsampling layers of the file whose
    weights are fixed. Weights that are nan or infinite are refused; `read_raw` returns them.

    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f'{folder}/a.safetensors', {'score.w': np.zeros((2, 8, 1, 1))}, dict(n_class=2))
    ...     arrays, about = read(f'{folder}/a.safetensors')
    >>> [*arrays], about['source'], about['n_class']
    (['score.w'], 'tinyfcn', 2)
    """
    path = find_weights(Path(path))
    arrays, about = read_raw(path)
    is_exported = 'build' in about and about['format'] in ('torch', 'npz')
    if is_exported or about['format'] == 'safetensors' and safetensors_file.is_tinyfcn_file(path):
        arrays = safetensors_file.weights_only(arrays)
        if about['format'] == 'torch':
            arrays = from_state_dict(arrays, about['build']['name'])
        about = dict(source='tinyfcn', preprocess=None) | about
        if not is_complete(about['preprocess']):
            about['preprocess'] = None
    else:
        with describe_read_errors(path, 'file of weights'):
            arrays, found = names.to_our_names(arrays, Path(path).stem, about)
        # what the file itself says is better than what its names let one expect
        about = found | {key: value for key, value in about.items() if value or key not in found}
        if len(about.get('classes', ())) != about.get('build', {}).get('n_class'):
            about.pop('classes', None)
    require_finite(arrays, path)
    return arrays, about
