"""Write a net for other programs: ONNX, PyTorch, .safetensors or .npz.

  tinyfcn export runs/my -o net.onnx
      for ONNX Runtime and other programs: what the net computes, with its
      weights, for images of any size (pip install 'tinyfcn[onnx]')
  tinyfcn export runs/my -o net.onnx --size 375x500 --with-preprocess
      for images of one size, which the net prepares itself
  tinyfcn export runs/my -o net.pth
      a state dict for torch.load; under torchvision's names, if it has the net
  tinyfcn export fcn_resnet50 -o net.safetensors     also .npz
      the weights, under tinyfcn's names; named weights are downloaded when they
      are first used, and kept
"""
import argparse
import sys
from pathlib import Path

from .. import load
from ..data.channels import RGB
from ..files import make_folder, printable, require_own
from ..net import Net
from ..prediction.predict import channels_of
from ..weights.export import (
    axes_of,
    export_net,
    input_name,
    is_prepared_as_in_torchvision,
    remaining_preprocess,
    require_format,
    torchvision_layout,
)
from .output import say
from .paths import weights_file
from .values import image_size

MEGABYTE = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('net', type=Path, metavar='NET',
                        help='a file of weights, the folder of a run, or the name of pretrained '
                             'weights')
    parser.add_argument('-o', '--output', type=Path, required=True, metavar='FILE',
                        help='the file to write: .onnx, .pth, .safetensors or .npz')
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite a file there that tinyfcn did not write')
    parser.add_argument('--size', type=image_size, metavar='HxW',
                        help='size of all images, in .onnx; some programs need one (default: any '
                             'size)')
    parser.add_argument('--with-preprocess', action='store_true',
                        help='put the preparation of images into .onnx, whose input is then red '
                             'green blue, 0 to 255')


def run(args: argparse.Namespace) -> None:
    file_format = require_format(args.output, args.size, args.with_preprocess)
    require_own(args.output, args.overwrite)
    net = load(weights_file(args.net))
    make_folder(args.output.parent)
    export_net(net, args.output, args.size, args.with_preprocess)
    say(f'{"written":9} {printable(args.output)}, '
        f'{args.output.stat().st_size / MEGABYTE:,.1f} MB')
    if file_format == 'onnx':
        describe_onnx(net, args.size, args.with_preprocess)
    if file_format == 'torch':
        describe_names(net)
    describe_preprocess(net, args.with_preprocess)


def describe_onnx(net: Net, size: tuple[int, int] | None, with_preprocess: bool) -> None:
    """Print the names and shapes of the input and the outputs."""
    for what, box, name in [('input', 'data', input_name(net, with_preprocess)),
                            *(('output', name, name) for name in net.outputs(train=False))]:
        axes = ', '.join(map(str, axes_of(net, box, size)))
        say(f'{what:9} {name} (batch, {net[box].channels}, {axes}), float32')


def describe_names(net: Net) -> None:
    """Print under which names a state dict has the weights."""
    layout = torchvision_layout(net)
    if not layout:
        say(f'{"names":9} of tinyfcn, with .weight, .bias, .running_mean and .running_var')
        return
    say(f'{"names":9} {layout.name}')
    preprocess = net.about.get('preprocess')
    if preprocess and not is_prepared_as_in_torchvision(preprocess):
        say(f'tinyfcn: {layout.name} expects images prepared in another way, see below', sys.stderr)


def describe_values(net: Net, order: str) -> str:
    """The channels of an image in the order that the file expects, and their values."""
    channels = channels_of(net)
    if channels == RGB:
        return {'RGB': 'red green blue', 'BGR': 'blue green red'}[order] + ' 0 … 255'
    names = [*channels.in_order]
    if order == 'BGR':
        names[:3] = names[2::-1]
    return f'{printable(", ".join(names))}, values of {channels.dtype}'


def describe_preprocess(net: Net, with_preprocess: bool) -> None:
    """Print how to prepare an image for the file."""
    preprocess = net.about.get('preprocess')
    if not preprocess:
        say(f'{"images":9} the net does not say how they are prepared for it')
        return
    steps = remaining_preprocess(preprocess, with_preprocess)
    parts = []
    if side := net.about.get('shorter_side'):
        parts.append(f'resized to {side} pixels on the shorter side')
    parts.append(describe_values(net, steps['order']))
    if steps['scale'] != 1:
        parts.append(f'times {steps["scale"]:.6g}')
    if any(steps['mean']):
        parts.append(f'minus {numbers(steps["mean"])}')
    if {*steps['std']} != {1}:
        parts.append(f'divided by {numbers(steps["std"])}')
    say(f'{"images":9} {", ".join(parts)}')


def numbers(values: list[float]) -> str:
    return f'({", ".join(f"{value:.6g}" for value in values)})'
