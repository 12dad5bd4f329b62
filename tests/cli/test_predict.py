"""tinyfcn predict: which images it takes, and that it overwrites nothing that it did not write."""
import os
from shutil import copy

import numpy as np
import pytest
from PIL import Image

from tinyfcn import load, predict
from tinyfcn.prediction.crf import SETTINGS


@pytest.fixture
def photos(tmp_path):
    """A folder with three images and a text."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for name in 'a.png', 'b.jpg', 'c.PNG':
        Image.fromarray(np.full((31, 17, 3), 90, 'uint8')).save(folder / name)
    (folder / 'notes.txt').write_text('no image')
    return folder


def draw_by_hand(path):
    """A file that tinyfcn did not write. -> its bytes"""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((31, 17), 3, 'uint8')).save(path)
    return path.read_bytes()


# ---- What is predicted ---------------------------------------------------------------------------

def test_a_folder_stands_for_its_images(trained, photos, run_main, tmp_path):
    _, run = trained
    code, _, err = run_main('predict', run, photos, '-o', tmp_path / 'out')
    assert code == 0, err
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'a.overlay.png', 'a.png', 'b.overlay.png', 'b.png', 'c.overlay.png', 'c.png']


def test_a_folder_without_images_is_refused(trained, run_main, tmp_path):
    (tmp_path / 'notes.txt').touch()
    code, _, err = run_main('predict', trained[1], tmp_path, '-o', tmp_path / 'out')
    assert code == 2 and f'{tmp_path}: no images' in err and '1 .txt' in err


def test_bad_images_are_skipped_and_reported(trained, photos, run_main, tmp_path):
    (photos / 'b.jpg').write_bytes(b'<html>404</html>')
    code, out, err = run_main('predict', trained[1], photos / 'gone.png', photos, '-o',
                              tmp_path / 'out')
    assert code == 2
    assert 'gone.png: no such file' in err and 'b.jpg: not an image' in err
    assert '2 of 4 images were skipped' in err
    assert (tmp_path / 'out/a.png').exists() and (tmp_path / 'out/c.png').exists()


@pytest.mark.parametrize('command', ['predict', 'eval'])
def test_a_window_too_small_for_the_net_is_refused_first(command, trained, run_main, tmp_path):
    root, run = trained
    args = ([root / 'images', '-o', tmp_path / 'out'] if command == 'predict' else
            ['--export', tmp_path / 'out'])
    code, out, err = run_main(command, run, *args, '--window', '1')
    assert code == 2 and err.startswith('tinyfcn: window is 1, and ') and not out
    assert not (tmp_path / 'out').exists()


def test_odd_tags_of_an_image_are_not_reported(trained, run_main, tmp_path, recwarn):
    """Pillow warns of each; a file may have 65,535."""
    tag = b'\x12\1\3\0\1\0\0\0\6\0\0\0'
    Image.new('RGB', (31, 17)).save(tmp_path / 'a.jpg',
                                    exif=b'Exif\0\0II*\0\x08\0\0\0\xff\xff' + 3 * tag)
    code, _, err = run_main('predict', trained[1], tmp_path / 'a.jpg', '-o', tmp_path / 'out')
    assert code == 0 and not [*recwarn], err


def test_an_address_is_refused_with_advice(trained, run_main, tmp_path):
    code, _, err = run_main('predict', trained[1], 'https://example.org/a.jpg', '-o', tmp_path)
    assert code == 2 and 'https://example.org/a.jpg' in err and 'download the image first' in err


def test_without_a_validation_the_last_checkpoint_is_taken(trained, photos, run_main, tmp_path):
    run = tmp_path / 'run'
    run.mkdir()
    copy(trained[1] / 'last.safetensors', run)
    code, _, err = run_main('predict', run, photos, '-o', tmp_path / 'out')
    assert code == 0 and 'no best.safetensors' in err and 'taking last.safetensors' in err


def test_names_with_escapes_are_printed_without(trained, run_main, tmp_path):
    bad = tmp_path / 'sky\x1b[2J\n.png'
    Image.fromarray(np.full((31, 17, 3), 90, 'uint8')).save(bad)
    code, out, err = run_main('predict', trained[1], bad, tmp_path / 'gone\x1b[2J.png', '-o',
                              tmp_path / 'out')
    assert code == 2 and '\x1b' not in out + err and r'sky\x1b[2J' in out


def test_names_of_any_length_and_encoding(trained, run_main, tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    names = ['p' * 240, 'p' * 242, os.fsdecode(b'\xff')]
    for name in names:
        Image.fromarray(np.full((31, 17, 3), 90, 'uint8')).save(folder / f'{name}.png')
    code, out, err = run_main('predict', trained[1], folder, '-o', tmp_path / 'out')
    assert code == 0, err
    assert sorted(path.stem for path in (tmp_path / 'out').glob('*[!y].png')) == sorted(names)
    (tmp_path / 'out').rename(tmp_path / 'before')
    Image.fromarray(np.full((31, 17, 3), 90, 'uint8')).save(folder / f'{"p" * 250}.png')
    code, _, err = run_main('predict', trained[1], folder, '-o', tmp_path / 'out')
    assert code == 2 and 'is too long for a file' in err and not (tmp_path / 'out').exists()


# ---- What is written -----------------------------------------------------------------------------

def test_a_mask_drawn_by_hand_is_never_overwritten(trained, photos, run_main):
    """Nor is any other file written before that is known."""
    _, run = trained
    masks = photos.parent / 'masks'
    for name in 'c.png', 'c.overlay.png':
        drawn = draw_by_hand(masks / name)
        code, _, err = run_main('predict', run, photos, '-o', masks)
        assert code == 2 and f'{masks / name}: exists' in err and '--overwrite' in err
        assert [path.read_bytes() for path in masks.iterdir()] == [drawn]
        (masks / name).unlink()


def test_what_tinyfcn_wrote_is_overwritten_and_the_rest_on_request(trained, photos, run_main):
    _, run = trained
    masks = photos.parent / 'masks'
    assert run_main('predict', run, photos, '-o', masks)[0] == 0
    assert run_main('predict', run, photos, '-o', masks)[0] == 0
    drawn = draw_by_hand(masks / 'c.png')
    assert run_main('predict', run, photos, '-o', masks, '--overwrite')[0] == 0
    assert (masks / 'c.png').read_bytes() != drawn


def test_a_link_is_not_followed(trained, photos, run_main):
    masks = photos.parent / 'masks'
    drawn = draw_by_hand(photos.parent / 'precious.png')
    masks.mkdir()
    (masks / 'a.png').symlink_to(photos.parent / 'precious.png')
    for overwrite in [], ['--overwrite']:
        code, _, err = run_main('predict', trained[1], photos, '-o', masks, *overwrite)
        assert code == 2 and 'a link to' in err
    assert (photos.parent / 'precious.png').read_bytes() == drawn
    assert os.listdir(masks) == ['a.png']


@pytest.mark.parametrize('names, found', [
    (['x.png', 'x.overlay.png'], 'would both write'),
    (['one/x.png', 'two/x.jpg'], 'two images are called x')])
def test_two_images_never_have_the_same_files(trained, names, found, run_main, tmp_path):
    images = [tmp_path / name for name in names]
    for image in images:
        draw_by_hand(image)
    code, _, err = run_main('predict', trained[1], *images, '-o', tmp_path / 'out')
    assert code == 2 and found in err and all(str(image) in err for image in images)
    assert not (tmp_path / 'out').exists()


def test_an_image_is_not_overwritten_by_the_mask_of_another(trained, run_main, tmp_path):
    """Not even on request: x.overlay.png is read, and x.jpg would be drawn there."""
    other = tmp_path / 'in/y.overlay.png'
    before = draw_by_hand(other)
    draw_by_hand(tmp_path / 'y.jpg')
    (tmp_path / 'hard.png').hardlink_to(other)
    code, _, err = run_main('predict', trained[1], tmp_path / 'y.jpg', tmp_path / 'hard.png', '-o',
                            tmp_path / 'in', '--overwrite')
    assert code == 2 and 'hard.png would be overwritten' in err
    assert other.read_bytes() == before


# ---- Options -------------------------------------------------------------------------------------

@pytest.mark.parametrize('option', [
    ['--scales', 'inf'], ['--scales', 'nan'], ['--scales', '0'], ['--scales', '-1'],
    ['--scales', '1e300'], ['--scales', '1', '1e-9'], ['--window', '0'], ['--window', '-5'],
    ['--window', 'x'], ['--longest', '0'], ['--seed', '-1'], ['--crf', 'x'],
    ['--fps', '0'], ['--fps', '1e9'], ['--tolerance', '0'], ['--tolerance', 'inf'],
    ['--polygons', 'svg'], ['--probabilities', 'tif']])
def test_values_are_checked_before_anything_starts(option, run_main, capsys):
    """The weights do not even exist."""
    with pytest.raises(SystemExit) as stop:
        run_main('predict', 'runs/gone', 'x.png', *option)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and f'argument {option[0]}' in err


def test_scales_accumulate_and_longest_is_passed_on(trained, run_main, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (60, 40, 3)).astype('uint8')
    Image.fromarray(image).save(tmp_path / 'x.png')
    net = load(trained[1])
    for options, kwargs in [
            (['--scales', '.5', '--scales', '1'], dict(scales=(.5, 1))),
            (['--longest', '30', '--flip'], dict(longest=30, flip=True)),
            (['--crf', 'deconvnet'], dict(crf=SETTINGS['deconvnet']))]:
        code, _, err = run_main('predict', trained[1], tmp_path / 'x.png', '-o', tmp_path / 'out',
                                *options)
        assert code == 0, err
        with Image.open(tmp_path / 'out/x.png') as png:
            np.testing.assert_array_equal(np.array(png), predict(net, image, **kwargs))
