"""tinyfcn predict: sub-folders, probabilities, polygons, overlays side by side, videos."""
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from optional_deps import needed
from PIL import Image

from tinyfcn import build, load, load_dataset
from tinyfcn.cli.predict_files import find_inputs
from tinyfcn.cli.predict_images import describe_shares
from tinyfcn.prediction import predict_probabilities
from tinyfcn.prediction.video import open_frames
from tinyfcn.viz import overlay


@pytest.fixture
def photos(trained, tmp_path):
    """Two photos, one of them in a sub-folder."""
    root, _ = trained
    (tmp_path / 'photos/day 1').mkdir(parents=True)
    for name, copy in ('0.jpg', 'x.jpg'), ('1.jpg', 'day 1/y.jpg'):
        shutil.copy(root / 'images' / name, tmp_path / 'photos' / copy)
    return tmp_path / 'photos'


def read_mask(path):
    with Image.open(path) as png:
        return np.array(png)


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.*'))


# ---- Which files

def test_sub_folders_are_kept_and_the_output_is_no_input(trained, photos, run_main):
    for _ in range(2):                                  # the second time, there are predictions
        code, out, err = run_main('predict', trained[1], photos, '-o', photos / 'out')
        assert code == 0, err
    assert files_in(photos / 'out') == ['day 1/y.overlay.png', 'day 1/y.png', 'x.overlay.png',
                                        'x.png']


def test_the_masks_of_a_data_set_are_no_photos(trained, tmp_path, capsys):
    root, _ = trained
    inputs = find_inputs([str(root)], tmp_path / 'out')
    assert {path.parent for path in inputs.images} == {root / 'images'}
    assert capsys.readouterr().out == f'{root}: 12 masks left out\n'
    assert len(find_inputs([str(root / 'masks')], tmp_path / 'out').images) == 12


def test_no_mask_is_written_among_the_photos(trained, photos, run_main):
    for args, file in (['.'], 'y.png'), (['x.jpg', '--why', '2,3'], 'x.why.png'):
        code, _, err = run_main('predict', trained[1], photos / args[0], *args[1:], '-o', photos)
        assert code == 2 and f'{file} would lie beside' in err and 'another -o FOLDER' in err
    assert files_in(photos) == ['day 1/y.jpg', 'x.jpg']


def test_hidden_files_are_left_out_and_numbers_sorted_by_value(tmp_path):
    for name in 'f10.png', 'f9.png', '.f1.png', '.git/a.png', 'b/c2.PNG', 'f09.png', 'note.txt':
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    inputs = find_inputs([str(tmp_path), 'clip.mp4'], tmp_path / 'out')
    assert [*inputs.images.values()] == [Path(name) for name in ('b/c2', 'f09', 'f9', 'f10')]
    assert inputs.videos == {Path('clip.mp4'): Path('clip')}


@pytest.mark.parametrize('counts, text', [
    ([1000, 0], 'sky 100%'), ([999, 1], 'sky > 99%, tree < 1%'), ([630, 370], 'sky 63%, tree 37%')])
def test_no_class_that_is_there_has_a_share_of_0(counts, text):
    assert describe_shares(np.repeat([0, 1], counts), ['sky', 'tree']) == text


# ---- Probabilities

def test_probabilities_as_numbers(trained, photos, run_main, tmp_path):
    code, _, err = run_main('predict', trained[1], photos, '-o', tmp_path / 'out',
                            '--probabilities', 'npz', '--flip')
    assert code == 0, err
    net = load(trained[1])
    with np.load(tmp_path / 'out/day 1/y.probabilities.npz') as file:
        prob = predict_probabilities(net, photos / 'day 1/y.jpg', flip=True)
        np.testing.assert_array_equal(file['probabilities'], prob)
        assert file['classes'].tolist() == [*net.about['classes']]
    np.testing.assert_array_equal(read_mask(tmp_path / 'out/day 1/y.png'), prob.argmax(0))


def test_probabilities_as_images(trained, photos, run_main, tmp_path):
    args = 'predict', trained[1], photos / 'x.jpg', '-o', tmp_path / 'out', '--probabilities', 'png'
    code, _, err = run_main(*args)
    assert code == 0, err
    prob = predict_probabilities(load(trained[1]), photos / 'x.jpg')
    files = sorted((tmp_path / 'out/x.probabilities').iterdir())
    assert [file.name for file in files] == [
        f'{i}_{name}.png' for i, name in enumerate(load(trained[1]).about['classes'])]
    for file, of_class in zip(files, prob):
        np.testing.assert_array_equal(read_mask(file), np.round(of_class * 255))
    files[1].write_bytes(b'drawn by hand')
    code, _, err = run_main(*args)
    assert code == 2 and f'{files[1]}: exists' in err


# ---- Polygons

@pytest.mark.parametrize('tool', ['coco', 'labelme'])
def test_polygons_are_read_back_as_the_masks(tool, trained, photos, run_main, tmp_path):
    """By the data set `folder`, whose masks are those of pycocotools and of LabelMe."""
    out = tmp_path / 'out'
    code, text, err = run_main('predict', trained[1], photos, '-o', out, '--polygons', tool)
    assert code == 0, err
    labelled = tmp_path / 'labelled'
    shutil.copytree(photos, labelled / 'images')
    for file in out.rglob('*.json'):
        target = labelled / 'images' / file.relative_to(out)
        target.write_text(file.read_text())
    classes = load(trained[1]).about['classes']
    (labelled / 'classes.txt').write_text('\n'.join(classes))
    dataset = load_dataset('folder', labelled)
    masks = {name.split('/')[-1]: label for name, (_, label) in zip(dataset.names, dataset)}
    np.testing.assert_array_equal(masks['x'], read_mask(out / 'x.png'))
    np.testing.assert_array_equal(masks['y'], read_mask(out / 'day 1/y.png'))


def test_coco_names_images_as_seen_from_the_folder(trained, photos, run_main, tmp_path):
    (photos / 'bad.jpg').write_bytes(b'<html>')
    out = tmp_path / 'out'
    code, text, err = run_main('predict', trained[1], photos, '-o', out, '--polygons', 'coco',
                               '--tolerance', '2')
    assert code == 2 and 'bad.jpg: not an image' in err
    content = json.loads((out / 'annotations.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['day 1/y.jpg', 'x.jpg']
    count = len(content['annotations'])
    assert f'{out}/annotations.json   2 images, {count} region' in text
    shutil.copy(photos / 'x.jpg', out / 'annotations.json')             # not one of tinyfcn
    code, _, err = run_main('predict', trained[1], photos, '-o', out, '--polygons', 'coco')
    assert code == 2 and 'annotations.json: exists' in err


def test_geojson_and_labelme_stand_beside_the_masks(trained, photos, run_main, tmp_path):
    out = tmp_path / 'out'
    for tool in 'geojson', 'labelme':
        code, _, err = run_main('predict', trained[1], photos, '-o', out, '--polygons', tool)
        assert code == 0, err
    features = json.loads((out / 'x.geojson').read_text())['features']
    mask = read_mask(out / 'x.png')
    area = sum(feature['properties']['area'] for feature in features)
    background = sum((mask == i).sum() for i, name in enumerate(load(trained[1]).about['classes'])
                     if name == 'background')
    assert area == mask.size - background
    content = json.loads((out / 'day 1/y.json').read_text())
    assert (out / 'day 1' / content['imagePath']).samefile(photos / 'day 1/y.jpg')


# ---- Overlays and videos

def test_side_by_side(trained, photos, run_main, tmp_path):
    code, _, err = run_main('predict', trained[1], photos / 'x.jpg', '-o', tmp_path,
                            '--side-by-side')
    assert code == 0, err
    wanted = overlay(photos / 'x.jpg', read_mask(tmp_path / 'x.png'),
                     load(trained[1]).about['classes'], side_by_side=True)
    np.testing.assert_array_equal(read_mask(tmp_path / 'x.overlay.png'), wanted)


def test_videos(trained, run_main, tmp_path, monkeypatch):
    needed('imageio_ffmpeg')
    root, run = trained
    (tmp_path / 'frames').mkdir()
    for i in range(3):
        shutil.copy(root / 'images/0.jpg', tmp_path / f'frames/{i}.jpg')
    monkeypatch.chdir(tmp_path)
    code, out, err = run_main('predict', run, 'frames', '-o', 'new/walk.mp4', '--fps', '4')
    assert code == 0, err
    assert out.startswith('new/walk.mp4   3 frames, ') and 'frames/s; the net alone: ' in out
    Path('bad.mov').touch()
    code, out, err = run_main('predict', run, 'new/walk.mp4', 'bad.mov', 'frames/2.jpg')
    assert code == 2 and 'bad.mov: not a video' in err and '1 of 2 videos were skipped' in err
    assert files_in(Path('predictions')) == ['2.overlay.png', '2.png', 'walk.overlay.mp4']
    for path in 'new/walk.mp4', 'predictions/walk.overlay.mp4':
        with open_frames(path) as frames:
            assert frames.fps == 4 and len([*frames.images]) == 3
    before = Path('new/walk.mp4').read_bytes()
    code, _, err = run_main('predict', run, 'new/walk.mp4', '-o', 'new/walk.mp4', '--overwrite')
    assert code == 2 and 'new/walk.mp4 would be overwritten' in err
    assert Path('new/walk.mp4').read_bytes() == before


@pytest.mark.parametrize('args, reason', [
    (['x.jpg', '--tolerance', '1'], '--tolerance is for outlines'),
    (['x.jpg', '--fps', '5'], '--fps is for videos'),
    (['x.mp4', '--polygons', 'coco'], '--polygons is for images'),
    (['x.jpg', '-o', 'y.mp4', '--probabilities', 'npz'], '--probabilities is for images'),
    (['x.mp4', 'x.jpg', '-o', 'y.mp4'], 'y.mp4 is one video'),
    (['a/x.mp4', 'b/x.mov'], 'another video is called x'),
    (['x.jpg', '-o', 'y.avi'], 'written as .mp4')])
def test_what_does_not_go_together_is_refused(args, reason, trained, run_main, tmp_path,
                                              monkeypatch):
    needed('imageio_ffmpeg')
    monkeypatch.chdir(tmp_path)
    Image.new('RGB', (40, 30)).save('x.jpg')
    code, _, err = run_main('predict', trained[1], *args)
    assert code == 2 and reason in err and err.count('\n') == 1
    assert files_in(tmp_path) == ['x.jpg']


@pytest.mark.parametrize('args', [['x.mp4'], ['x.jpg', '-o', 'y.mp4'],
                                  ['x.jpg', '--polygons', 'coco']])
def test_a_classifier_has_no_masks_to_write(args, run_main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = build('squeezenet', n_class=3, width=1/16)
    net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    net.save('net.safetensors')
    code, _, err = run_main('predict', 'net.safetensors', *args)
    assert code == 2 and 'this net scores an image as a whole; give a net that' in err
