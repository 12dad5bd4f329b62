"""Segment images of any size, and videos.

For each image, writes a palette PNG with the number of a class in each pixel
and an overlay with a legend. Images that cannot be read are reported and
skipped; the exit code is then 2.

  tinyfcn predict fcn_resnet50 photo.jpg            `tinyfcn weights list` shows
                                                    all such names
  tinyfcn predict runs/my photo.jpg
  tinyfcn predict runs/my photos -o masks           all images of a folder, and
                                                    of its sub-folders
  tinyfcn predict runs/my *.jpg -o masks --scales .75 1 1.25 --flip
  tinyfcn predict runs/my photos --polygons coco    outlines for other tools
  tinyfcn predict runs/my photos --probabilities npz
  tinyfcn predict runs/my clip.mp4                  clip.overlay.mp4; shows how
                                                    many frames a second it is
  tinyfcn predict runs/my frames -o walk.mp4 --fps 10
                                                    images as frames of a video
  tinyfcn predict runs/my photo.jpg --why 120,80    why that pixel has its class:
                                                    a table and a picture
  tinyfcn predict squeezenet photo.jpg              a classifier: prints the most
                                                    probable classes of the
                                                    image, and writes no file

Named weights are downloaded when they are first used, and kept. An image that
needs more memory than is free is predicted in tiles that overlap by the
receptive field, so the result is the same.
"""
import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import load
from ..data.imagenet import everyday_word
from ..data.paths import require_file
from ..files import printable
from ..net import Net
from ..prediction.classify import classify, is_classifier, is_of_imagenet
from ..prediction.multiscale import require_window
from ..prediction.video import is_video
from ..weights.sources import source_name
from .device import add_device_arguments
from .output import say
from .paths import weights_file
from .predict_files import Inputs, find_inputs, require_free
from .predict_images import for_each, predict_images
from .predict_options import add_predict_arguments, predict_options
from .predict_video import plan_videos, predict_sequence, predict_videos
from .values import frame_rate, pixel_position, positive_value
from .why import explain_image

LISTED = 5                      # most classes that are printed for an image
MAX_CLASS = 40                  # characters of each

def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('weights', type=Path, metavar='WEIGHTS',
                        help='a file of weights, the folder of a run, or the name of pretrained '
                             'weights')
    parser.add_argument('inputs', nargs='+', metavar='IMAGE',
                        help='an image, a folder of images, or a video')
    parser.add_argument('-o', '--output', type=Path, default=Path('predictions'), metavar='FOLDER',
                        help='where to write (default: %(default)s). NAME.mp4 writes a video, of '
                             'images in the order of their names')
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite files there that tinyfcn did not write')
    parser.add_argument('--probabilities', choices=['npz', 'png'],
                        help='also write the probability of every class in every pixel: numbers in '
                             'an .npz, or a grey PNG for each class, in which white is 1')
    parser.add_argument('--polygons', choices=['coco', 'labelme', 'geojson'],
                        help='also write the outlines of all regions in the format of COCO (one '
                             'file for all images), LabelMe or GeoJSON')
    parser.add_argument('--tolerance', type=positive_value, default=0, metavar='PIXELS',
                        help='leave out corners of --polygons that move an outline by at most '
                             'PIXELS (default: none, outlines are exact)')
    parser.add_argument('--side-by-side', action='store_true',
                        help='in overlays, show the image as it is, too, on the left')
    parser.add_argument('--fps', type=frame_rate, metavar='FRAMES',
                        help='frames a second of a video that is written (default: as those of the '
                             'video that is read; 25 for images)')
    parser.add_argument('--why', type=pixel_position, metavar='X,Y',
                        help='only explain the class of one pixel of one image: what each score '
                             'layer contributes to its scores, what it can see, and a gradient map')
    add_predict_arguments(parser)
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    inputs = find_inputs(args.inputs, args.output)
    check_options(args, inputs)
    images = [*inputs.images]
    files = [*images, *inputs.videos]
    if source_name(str(args.weights)) and not any(path.exists() for path in files):
        require_file(files[0])                          # raises before weights are downloaded
    net = load(weights_file(args.weights)).to(args.device)
    options = predict_options(args)
    if is_classifier(net):
        require_no_outputs(args, inputs)
        classify_images(net, images, options)
        return
    if args.why:
        x, y = args.why
        explain_image(net, images, x, y, args.output, args.overwrite, options)
        return
    require_window(net, args.window)
    if is_video(args.output):
        predict_sequence(net, inputs, args, options)
        return
    videos = plan_videos(inputs, args.output)
    require_free(videos.values(), inputs, args.overwrite)
    if images:
        predict_images(net, inputs, args, options)
    if videos:
        predict_videos(net, videos, args, options)


def check_options(args: argparse.Namespace, inputs: Inputs) -> None:
    """Raise for options that do not go together."""
    if args.tolerance and not args.polygons:
        raise ValueError('--tolerance is for outlines: add --polygons')
    makes_video = bool(inputs.videos) or is_video(args.output)
    if args.why:
        others = [name for name in ('probabilities', 'polygons', 'side_by_side')
                  if getattr(args, name)]
        if others:
            raise ValueError(f'--why only explains a pixel, and writes no masks: leave out '
                             f'--{others[0].replace("_", "-")}, or predict without --why')
    if args.fps and not makes_video:
        raise ValueError('--fps is for videos; -o NAME.mp4 makes one of these images')
    if makes_video:
        given = [name for name in ('probabilities', 'polygons', 'why') if getattr(args, name)]
        if given:
            raise ValueError(f'--{given[0]} is for images: write the frames of the video as images '
                             f'first, as with ffmpeg -i clip.mp4 frames/%05d.png')


def require_no_outputs(args: argparse.Namespace, inputs: Inputs) -> None:
    """Raise for what only a net that scores every pixel can do."""
    given = [f'--{name}' for name in ('probabilities', 'polygons', 'why') if getattr(args, name)]
    given += [str(path) for path in (*inputs.videos, args.output) if is_video(path)]
    if given:
        raise ValueError(f'{given[0]}: this net scores an image as a whole; give a net that scores '
                         f'every pixel, such as fcn_resnet50')


def classify_images(net: Net, images: Sequence[Path], options: Mapping[str, Any]) -> None:
    """Print the most probable classes of each image."""
    if options:
        raise ValueError(f'--{" --".join(options)}: this net scores an image as a whole, once; '
                         f'these options are for nets that score every pixel')
    words = everyday_word if is_of_imagenet(net) else lambda number: ''

    for path, guesses in for_each(images, lambda path: classify(net, path, LISTED)):
        say(f'{printable(path)}:')
        for guess in guesses:
            word = words(guess.number)
            kind = f' ({word})' if word and word not in guess.name.split() else ''
            say(f'  {guess.probability:6.1%}  {printable(guess.name, limit=MAX_CLASS)}{kind}')
