"""What `tinyfcn predict` does with videos: an overlay of every frame, and how fast it was."""
import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import make_folder, printable
from ..net import Net
from ..prediction.video import Source, Speed, open_frames, predict_frames, require_ffmpeg
from .bar import show_bar
from .output import say
from .predict_files import Inputs, require_free
from .predict_images import for_each

COMPLETE = .9                   # of the frames that a video says it has


def plan_videos(inputs: Inputs, folder: Path) -> dict[Path, Path]:
    """{video: the one to write}"""
    targets: dict[Path, Path] = {}
    for video, name in inputs.videos.items():
        target = folder / f'{name}.overlay.mp4'
        if target in targets.values():
            raise ValueError(f'{video}: another video is called {name}, too; predict them one '
                             f'after the other, each with its own -o FOLDER')
        targets[video] = target
    return targets


def predict_videos(net: Net, targets: Mapping[Path, Path], args: argparse.Namespace,
                   options: Mapping[str, Any]) -> None:
    """Write the overlay of each video. One that cannot be read is skipped."""
    require_ffmpeg()
    make_folder(args.output)

    def work(video: Path) -> Speed:
        return write_video(net, video, targets[video], args, options)

    for video, speed in for_each([*targets], work, unit='video'):
        say(f'{printable(targets[video])}   {describe_speed(speed)}')


def predict_sequence(net: Net, inputs: Inputs, args: argparse.Namespace,
                     options: Mapping[str, Any]) -> None:
    """Write one video, of another one or of images."""
    require_ffmpeg()
    if len(inputs.videos) > 1 or inputs.videos and inputs.images:
        raise ValueError(f'{args.output} is one video: give one video or images to make it of, or '
                         f'-o FOLDER')
    require_free([args.output], inputs, args.overwrite)
    make_folder(args.output.parent)
    source = next(iter(inputs.videos), None) or [*inputs.images]
    speed = write_video(net, source, args.output, args, options)
    say(f'{printable(args.output)}   {describe_speed(speed)}')


def write_video(net: Net, source: Source, target: Path, args: argparse.Namespace,
                options: Mapping[str, Any]) -> Speed:
    """Predict the frames of a video, or images, while a bar shows how many a second."""
    with open_frames(source, args.fps) as frames:
        shown = frames._replace(images=show_bar(frames.images, frames.total, 'frame'))
        speed = predict_frames(net, shown, target, args.side_by_side, **options)
        if speed.frames < COMPLETE * frames.total:
            say(f'{printable(source)}: ends after {speed.frames:,} of about {frames.total:,} '
                f'frames; is it complete?', sys.stderr)
        return speed


def describe_speed(speed: Speed) -> str:
    """'240 frames, 12.0 frames/s; the net alone: 15.1'"""
    frames = 'frame' if speed.frames == 1 else 'frames'
    return (f'{speed.frames:,} {frames}, {speed.fps:.3g} frames/s; the net alone: '
            f'{speed.net_fps:.3g} frames/s')
