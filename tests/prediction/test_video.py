"""Videos that ffmpeg has written are read, predicted and written as videos that it reads."""
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from optional_deps import needed
from PIL import Image
from training_samples import small_net

from tinyfcn import Net, predict
from tinyfcn.files import ImageError, require_own
from tinyfcn.layers import conv
from tinyfcn.prediction.video import (
    is_video,
    open_frames,
    predict_video,
    require_ffmpeg,
    write_video,
)
from tinyfcn.viz.overlays import overlay_frame

FRAMES = np.zeros((6, 24, 32, 3), 'uint8')
for i, frame in enumerate(FRAMES):
    frame[:, 4 * i:] = 60, 40 * i, 200


@pytest.fixture(scope='module')
def ffmpeg():
    needed('imageio_ffmpeg')
    return require_ffmpeg()


@pytest.fixture(scope='module')
def clip(ffmpeg, tmp_path_factory):
    """A .mkv that holds every frame as it is."""
    path = tmp_path_factory.mktemp('clip') / 'clip.mkv'
    subprocess.run([ffmpeg, '-v', 'error', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', '32x24',
                    '-r', '30000/1001', '-i', '-', '-c:v', 'ffv1', path], input=FRAMES.tobytes(),
                   check=True)
    return path


def read(path):
    with open_frames(path) as frames:
        return np.array([*frames.images]), frames.fps


def test_frames_are_read_as_they_are(clip):
    with open_frames(clip) as frames:
        assert frames.total == 6 and frames.fps == pytest.approx(30000 / 1001, abs=.01)
        np.testing.assert_array_equal(np.array([*frames.images]), FRAMES)


@pytest.mark.parametrize('side_by_side', [False, True])
def test_every_frame_of_the_new_video_is_the_overlay_of_one(clip, side_by_side, tmp_path):
    net = small_net('float64')
    speed = predict_video(net, clip, tmp_path / 'out.mp4', side_by_side=side_by_side, flip=True)
    frames, fps = read(tmp_path / 'out.mp4')
    assert speed.frames == len(frames) == 6 and fps == pytest.approx(29.97, abs=.01)
    assert 0 < speed.fps < speed.net_fps
    for frame, found in zip(FRAMES, frames):
        mask = predict(net, frame, flip=True)
        wanted = overlay_frame(frame, mask, ['class 0', 'class 1', 'class 2'],
                               side_by_side=side_by_side)
        assert found.shape == wanted.shape              # H.264 changes colours a little
        assert np.abs(found.astype(int) - wanted).mean() < 6


def test_images_become_a_video_at_the_rate_that_is_asked_for(ffmpeg, tmp_path):
    paths = [tmp_path / f'{i}.png' for i in range(3)]
    for path, frame in zip(paths, FRAMES):
        Image.fromarray(frame).save(path)
    predict_video(small_net(), paths, tmp_path / 'a.mp4', fps=Fraction(5, 2))
    predict_video(small_net(), FRAMES[:3], tmp_path / 'b.mp4')
    (frames, fps), (same, default_fps) = read(tmp_path / 'a.mp4'), read(tmp_path / 'b.mp4')
    assert np.abs(frames - same.astype(int)).mean() < 6
    assert (fps, default_fps) == (2.5, 25)
    Image.new('RGB', (33, 24)).save(paths[1])
    with pytest.raises(ImageError, match='1.png: 24×33 pixels .* the frames before have 24×32'):
        predict_video(small_net(), paths, tmp_path / 'a.mp4')
    assert len(read(tmp_path / 'a.mp4')[0]) == 3, 'an error leaves the old video'
    assert sorted(os.listdir(tmp_path)) == ['0.png', '1.png', '2.png', 'a.mp4', 'b.mp4']


def test_a_video_is_marked_as_one_of_tinyfcn(ffmpeg, clip, tmp_path):
    predict_video(small_net(), FRAMES[:2], tmp_path / 'own.mp4')
    require_own(tmp_path / 'own.mp4')
    subprocess.run([ffmpeg, '-v', 'error', '-i', clip, tmp_path / 'other.mp4'], check=True)
    with pytest.raises(ValueError, match='was not written by tinyfcn'):
        require_own(tmp_path / 'other.mp4')


def test_a_turned_video_is_read_upright(ffmpeg, clip, tmp_path):
    subprocess.run([ffmpeg, '-v', 'error', '-i', clip, tmp_path / 'flat.mp4'], check=True)
    subprocess.run([ffmpeg, '-v', 'error', '-display_rotation', '90', '-i', tmp_path / 'flat.mp4',
                    '-c', 'copy', tmp_path / 'turned.mp4'], check=True)
    flat, turned = read(tmp_path / 'flat.mp4')[0], read(tmp_path / 'turned.mp4')[0]
    assert turned.shape == (6, 32, 24, 3)
    np.testing.assert_array_equal(turned, np.rot90(flat, axes=(1, 2)))


def test_a_net_for_grey_images_sees_a_video_in_grey(clip, tmp_path):
    net = Net(1)
    net.score = conv(net.data, 2, 1)
    net.about['preprocess'] = dict(order='grey', scale=1, mean=(0,), std=(1,))
    assert predict_video(net, clip, tmp_path / 'out.mp4').frames == 6
    deep = Net(4)
    deep.score = conv(deep.data, 2, 1)
    deep.about.update(preprocess=dict(order='any', scale=1, mean=(0,) * 4, std=(1,) * 4),
                      channels=dict(names=['red', 'green', 'blue', 'depth'], dtype='uint8'))
    with pytest.raises(ValueError, match='have red, green and blue, and this net was trained on'):
        predict_video(deep, clip, tmp_path / 'out.mp4')


# ---- What is no video

def damaged(kind, clip, ffmpeg, folder):
    """-> a file that cannot be read, and what is said about it"""
    path = folder / 'bad.mp4'
    if kind == 'cut':
        subprocess.run([ffmpeg, '-v', 'error', '-i', clip, path], check=True)
        path.write_bytes(path.read_bytes()[:-400])
        return path, '[a-z]'
    if kind == 'sound':
        subprocess.run([ffmpeg, '-v', 'error', '-f', 'lavfi', '-i', 'sine=d=0.1', path], check=True)
        return path, 'it has no images'
    if kind == 'list':                                  # would name another file to read
        path.write_text(f'ffconcat version 1.0\nfile {clip}\n')
        return path, 'its content is no video'
    content = dict(empty=b'', page=b'<html>404</html>' * 40, noise=bytes(range(256)) * 20)[kind]
    path.write_bytes(content)
    return path, 'not a video that can be read'


@pytest.mark.parametrize('kind', ['cut', 'sound', 'list', 'empty', 'page', 'noise'])
def test_a_file_that_is_no_video_is_reported(kind, clip, ffmpeg, tmp_path):
    path, reason = damaged(kind, clip, ffmpeg, tmp_path)
    with pytest.raises(ImageError, match=f'bad.mp4: not a video that can be read.*{reason}|'
                                         f'bad.mp4: {reason}') as error:
        predict_video(small_net(), path, tmp_path / 'out.mp4')
    assert '\n' not in str(error.value) and 'get it again' in str(error.value)
    assert not (tmp_path / 'out.mp4').exists()


def test_a_missing_file_and_a_wrong_name_are_reported(ffmpeg, tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.mp4: no such file'):
        predict_video(small_net(), tmp_path / 'gone.mp4', tmp_path / 'out.mp4')
    with pytest.raises(ValueError, match='out.avi: a video is written as .mp4'):
        write_video(tmp_path / 'out.avi', FRAMES, 25)
    with pytest.raises(ValueError, match='a video has at least one frame'):
        write_video(tmp_path / 'out.mp4', [], 25)


def test_an_error_of_ffmpeg_is_reported(ffmpeg, tmp_path):
    with pytest.raises(OSError, match='out.mp4: ffmpeg cannot write it .*divisible by 2'):
        write_video(tmp_path / 'out.mp4', FRAMES[:, :23], 25)       # an odd height
    assert not os.listdir(tmp_path)


def test_without_the_package_the_command_to_install_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)
    with pytest.raises(ValueError, match=r'pip install "tinyfcn\[video\]"'):
        write_video(tmp_path / 'out.mp4', FRAMES, 25)


def test_names_of_videos():
    assert is_video('a.b/CLIP.MOV') and not is_video('mp4') and not is_video('clip.gif')
