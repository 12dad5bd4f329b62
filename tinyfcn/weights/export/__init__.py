"""Write nets for other programs: the suffix of the file decides the format.

    export_net(net, 'net.onnx')             # what the net computes, with its weights
    export_net(net, 'net.pth')              # a state dict; torchvision's names if it has the net
    export_net(net, 'net.safetensors')      # as net.save, for tinyfcn.load
    export_net(net, 'net.npz')              # as in net.params, for numpy.load

tinyfcn.load reads all but .onnx, as they say which net they are of and how images are prepared.
"""
from pathlib import Path
from typing import Any

from ...files import printable
from ...geometry import Size
from ...runtime.backend import to_numpy
from .npz_file import save_npz
from .onnx_file import axes_of, import_onnx, input_name, remaining_preprocess, save_onnx
from .protocols import Net
from .torch_file import save_state_dict
from .torch_names import is_prepared_as_in_torchvision, state_dict, torchvision_layout

__all__ = ['FORMATS', 'axes_of', 'export_net', 'input_name', 'is_prepared_as_in_torchvision',
           'remaining_preprocess', 'require_format', 'torchvision_layout']

FORMATS = {'.onnx': 'onnx', '.pth': 'torch', '.pt': 'torch', '.safetensors': 'safetensors',
           '.npz': 'npz'}


def require_format(path: str | Path, size: Size | None = None,
                   with_preprocess: bool = False) -> str:
    """The format of a file to write, by its suffix; raises if no net could be written so.

    >>> require_format('net.pth')
    'torch'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f'{printable(path)}: name a file with the suffix {", ".join(FORMATS)}')
    file_format = FORMATS[suffix]
    if file_format == 'onnx':
        import_onnx()
    elif size or with_preprocess:
        raise ValueError(f'{printable(path)}: only an .onnx file has a size of images or a '
                         f'preprocessing; this format holds weights alone')
    return file_format


def export_net(net: Net, path: str | Path, size: Size | None = None,
               with_preprocess: bool = False) -> None:
    """Write a net to a file that other programs read.

    size: (H, W) of all images, None for any; with_preprocess: the input is an image, red green blue
    0 … 255. Both are for .onnx only. Weights keep their dtype, and become float32 in .onnx.

    >>> import tinyfcn, numpy as np
    >>> export_net(tinyfcn.build('tiny_8s', width=1/8), 'net.npz')
    >>> np.load('net.npz')['conv1_1.w'].shape
    (2, 3, 3, 3)
    """
    file_format = require_format(path, size, with_preprocess)
    if file_format == 'onnx':
        save_onnx(net, path, size, with_preprocess)
    elif file_format == 'torch':
        save_state_dict(path, state_dict(net), about_of(net))
    elif file_format == 'safetensors':
        net.save(path)
    else:
        save_npz(path, arrays_of(net), about_of(net))


def about_of(net: Net) -> dict[str, Any]:
    """What `tinyfcn.load` needs beside the weights, as net.save writes it."""
    return dict(net.about, seed=net.seed, frozen=sorted(net.frozen))


def arrays_of(net: Net) -> dict[str, Any]:
    """Weights and running state on the host."""
    return {name: to_numpy(array) for name, array in {**net.params, **net.state}.items()}
