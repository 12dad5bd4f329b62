"""Videos: read the frames of one, segment them, and write them as another.

    predict_video(net, 'clip.mp4', 'clip.overlay.mp4')
    predict_video(net, sorted(Path('frames').iterdir()), 'walk.mp4', fps=10)

ffmpeg reads and writes them, a program that the package imageio-ffmpeg brings.
"""
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain
from os import PathLike
from pathlib import Path
from shutil import copyfileobj
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias, cast

import numpy as np

from ..data.labels import Array
from ..files import ImageError, open_atomic, open_regular, printable
from ..files.images import MAX_PIXELS
from ..files.overwrite import MARK
from ..net.net import Net
from ..viz.overlays import overlay_frame
from .predict import Input, channels_of, load_image, predict

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

VIDEO_SUFFIXES = '.mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .ts .ogv .flv .wmv'.split()
# ffmpeg's names of what may be in such files: others, such as lists, can name further files
CONTAINERS = 'mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,ogg,flv,asf'
# of ffmpeg, which say that it failed and not why
VAGUE_MESSAGES = 'Error opening input', 'Format mov,mp4'
FPS = 25                        # of image sequences
QUALITY = 20                    # x264's constant rate factor: 0 is exact, 51 is worst

Source: TypeAlias = 'str | PathLike[str] | Sequence[Input]'


class Frames(NamedTuple):
    """What a video holds."""

    images: Iterator[Input]
    total: int                          # as the file says, which may be a few more or less
    fps: float                          # frames a second
    is_video: bool = False              # or a sequence of images


class Speed(NamedTuple):
    """How long a video took. The first frame is left out, as kernels are compiled for it."""

    frames: int
    seconds: float                      # for reading, predicting, drawing and writing
    net_seconds: float                  # for predicting

    @property
    def fps(self) -> float:
        """Frames a second, with reading, drawing and writing."""
        return max(1, self.frames - 1) / max(self.seconds, 1e-9)

    @property
    def net_fps(self) -> float:
        """Frames a second of `predict` alone."""
        return max(1, self.frames - 1) / max(self.net_seconds, 1e-9)


def predict_video(net: Net, source: Source, target: str | PathLike[str], fps: float | None = None,
                  side_by_side: bool = False, **options: Any) -> Speed:
    """Segment every frame of a video, and write them as overlays into another, an .mp4.

    source: the path of a video, or images in the order of the frames: paths or arrays of one size
    fps: frames a second; by default those of the source, 25 for images
    side_by_side: each frame as it is stands on the left of its overlay
    options: those of `predict`. Sound is left out.

    >>> import tempfile, tinyfcn
    >>> net = tinyfcn.build('tiny_8s', n_class=3, width=1/8)
    >>> net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     speed = predict_video(net, [np.zeros((40, 50, 3), 'uint8')] * 3, f'{folder}/a.mp4')
    >>> speed.frames
    3
    """
    with open_frames(source, fps) as frames:
        return predict_frames(net, frames, target, side_by_side, **options)


def predict_frames(net: Net, frames: Frames, target: str | PathLike[str],
                   side_by_side: bool = False, **options: Any) -> Speed:
    """As `predict_video`, of frames that are open."""
    outputs = net.outputs(train=False)
    channels = channels_of(net)
    if frames.is_video and (channels.dtype != 'uint8' or len(channels.names) not in (1, 3)):
        raise ValueError(f'the frames of a video have red, green and blue, and this net was '
                         f'trained on {channels}')
    if len(outputs) > 1:
        raise ValueError(f'a video shows one output of a net, and this one has '
                         f'{", ".join(outputs)}: predict its frames as images')
    classes = net.about.get('classes') or [f'class {i}' for i in range(net[outputs[0]].channels)]
    starts: list[float] = []                            # when each frame was read
    net_seconds: list[float] = []

    def draw_all() -> Iterator[Array]:
        for image in _of_one_size(net, frames.images):
            starts.append(perf_counter())
            mask = predict(net, image, **options)
            net_seconds.append(perf_counter() - starts[-1])
            yield overlay_frame(image, mask, classes, net.about.get('colours'), side_by_side)

    write_video(target, draw_all(), frames.fps)
    timed = slice(1 if len(starts) > 1 else 0, None)
    return Speed(len(starts), perf_counter() - starts[timed][0], sum(net_seconds[timed]))


def _of_one_size(net: Net, frames: Iterator[Input]) -> Iterator[Array]:
    """The frames as arrays, which must have the size of the first one."""
    size = None
    for number, frame in enumerate(frames, start=1):
        image = load_image(frame, net)
        size = size or image.shape[:2]
        if image.shape[:2] != size:
            is_path = isinstance(frame, (str, PathLike))
            name = printable(frame) if is_path else f'frame {number}'
            raise ImageError('{}: {}×{} pixels (rows × columns), and the frames before have {}×{}; '
                             'the frames of a video are of one size'.format(
                                 name, *image.shape[:2], *size))
        yield image


def is_video(path: str | PathLike[str]) -> bool:
    """Whether a file is a video by its name.

    >>> is_video('clip.MP4'), is_video('photo.jpg')
    (True, False)
    """
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


# ---- Reading

@contextmanager
def open_frames(source: Source, fps: float | None = None) -> Iterator[Frames]:
    """The frames of a video, or images as frames of one.

    fps: in place of the frames a second of the source
    """
    if isinstance(source, (str, PathLike)):
        with _open_video(Path(source)) as frames:
            yield frames._replace(fps=fps or frames.fps)
    else:
        yield Frames(iter(source), len(source), fps or FPS)


@contextmanager
def _open_video(path: Path) -> Iterator[Frames]:
    name = printable(path)
    with open_regular(path):                            # a file that is not there, or a pipe
        ffmpeg = require_ffmpeg()
    command = [ffmpeg, '-hide_banner', '-format_whitelist', CONTAINERS, '-i', f'file:{path}']
    # without a file to write it only tells what there is
    about = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                           check=False).stderr.decode(errors='replace')
    if 'Video: ' not in about:
        reason = 'it has no images' if 'Input #0' in about else _reason(about)
        raise ImageError(f'{name}: not a video that can be read ({reason}); get it again, or '
                         f'convert it to .mp4')
    fps = _frame_rate(about)
    command += ['-v', 'error', '-r', str(fps), '-f', 'image2pipe', '-c:v', 'ppm',
                '-pix_fmt', 'rgb24', 'pipe:1']
    with (tempfile.TemporaryFile() as log,
          _running(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                   stderr=log) as process):
        images = _read_frames(cast(BinaryIO, process.stdout), name)
        first = next(images, None)
        if first is None:
            process.wait()
            raise ImageError(f'{name}: not a video that can be read ({_reason(_read_log(log))}); '
                             f'get it again, or convert it to .mp4')
        total = max(1, round(_duration(about) * fps))
        yield Frames(chain([first], images), total, float(fps), is_video=True)


def _frame_rate(about: str) -> Fraction:
    """In frames a second, as ffmpeg reports it of a file.

    >>> _frame_rate('  Stream #0:0: Video: h264, yuv420p, 320x240, 29.97 fps, 30 tbr')
    Fraction(30000, 1001)
    """
    found = re.search(r'Video: .*?(\d+(\.\d+)?) fps', about)
    fps = Fraction(found.group(1)) if found else Fraction(0)
    of_television = Fraction(round(fps) * 1000, 1001)   # 23.98, 29.97 and 59.94 are rounded
    if fps.denominator > 1 and round(float(of_television), 2) == float(fps):
        return of_television
    return fps or Fraction(FPS)


def _read_frames(pipe: BinaryIO, name: str) -> Iterator['PILImage']:
    """Read images in the format PPM, one after the other."""
    from PIL import Image
    count = 0
    while head := pipe.readline():
        width, height = map(int, pipe.readline().split())
        if width * height > MAX_PIXELS:
            raise ImageError(f'{name}: frames of {width}×{height} pixels are more than '
                             f'{MAX_PIXELS:,}; make it smaller first')
        brightest = pipe.readline()
        pixels = pipe.read(3 * width * height)
        if (head, brightest, len(pixels)) != (b'P6\n', b'255\n', 3 * width * height):
            raise ImageError(f'{name}: damaged after frame {count}; get it again')
        yield Image.frombuffer('RGB', (width, height), pixels)
        count += 1


def _duration(about: str) -> float:
    """In seconds, as ffmpeg reports it; 0 if it does not know.

    >>> _duration('  Duration: 00:01:02.50, start: 0.000000, bitrate: 57 kb/s')
    62.5
    """
    found = re.search(r'^ *Duration: (\d+):(\d+):(\d+\.\d+)', about, re.M)
    if not found:
        return 0
    hours, minutes, seconds = map(float, found.groups())
    return 3600 * hours + 60 * minutes + seconds


def _read_log(log: BinaryIO) -> str:
    log.seek(0)
    return log.read().decode(errors='replace')


def _reason(about: str) -> str:
    """The first of ffmpeg's messages that says why it failed."""
    lines = [line.strip() for line in about.splitlines() if line.strip()]
    messages = [line.partition('] ')[2] for line in lines if line.startswith('[')]
    reasons = [message for message in messages
               if not message.startswith(VAGUE_MESSAGES) and 'low score' not in message]
    found = [*reasons, *messages, 'no reason is known']
    if found[0].startswith('Format not on whitelist'):
        return 'its content is no video, whatever its name'
    return printable(found[0], limit=120)


def require_ffmpeg() -> str:
    """The path of the program ffmpeg."""
    try:
        import imageio_ffmpeg
    except ImportError:
        raise ValueError('videos need the package imageio-ffmpeg: pip install "tinyfcn[video]"'
                         ) from None
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:                                # a package without the program
        raise ValueError('the package imageio-ffmpeg is here without ffmpeg: install ffmpeg, and '
                         'set IMAGEIO_FFMPEG_EXE to its path') from None


@contextmanager
def _running(command: Sequence[str], **pipes: Any) -> Iterator['subprocess.Popen[bytes]']:
    """A program, which is ended with the block. Ctrl-C is for this process alone."""
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


# ---- Writing

def write_video(path: str | PathLike[str], frames: Iterable[Array], fps: float) -> None:
    """Write frames (H, W, 3) uint8 of one even size as an .mp4, whole or not at all."""
    path = Path(path)
    if path.suffix.lower() != '.mp4':
        raise ValueError(f'{printable(path)}: a video is written as .mp4; give it this ending')
    ffmpeg = require_ffmpeg()
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError(f'{printable(path)}: a video has at least one frame, and there is none')
    # ffmpeg needs a name to write to, as it goes back to the head of the file at the end
    with tempfile.TemporaryDirectory(prefix='.video-', dir=path.parent) as folder:
        written = os.path.join(folder, 'video.mp4')
        if reason := _encode(ffmpeg, written, first, frames, fps):
            raise OSError(f'{printable(path)}: ffmpeg cannot write it ({reason})')
        with open_atomic(path) as file, open(written, 'rb') as video:
            copyfileobj(video, file)


def _encode(ffmpeg: str, path: str, first: Array, others: Iterator[Array], fps: float) -> str:
    """Pass frames on to ffmpeg. -> why it could not write them, if so"""
    height, width = first.shape[:2]
    command = [ffmpeg, '-v', 'error', '-f', 'rawvideo', '-pix_fmt', 'rgb24',
               '-s', f'{width}x{height}', '-r', str(fps), '-i', 'pipe:0', '-an',
               '-c:v', 'libx264', '-crf', str(QUALITY), '-pix_fmt', 'yuv420p',
               '-metadata', f'comment={MARK}', f'file:{path}']
    with (tempfile.TemporaryFile() as log,
          _running(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                   stderr=log) as process):
        pipe = cast(BinaryIO, process.stdin)
        with suppress(BrokenPipeError):                 # its log says why
            for frame in chain([first], others):
                pipe.write(np.ascontiguousarray(frame).data)
        with suppress(BrokenPipeError):
            pipe.close()
        return _reason(_read_log(log)) if process.wait() else ''
