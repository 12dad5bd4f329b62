"""From `check` to `predict` with images of four channels of 16 bits, as a user types it."""
import numpy as np
import pytest
from PIL import Image
from training_samples import draw_nothing

from tinyfcn.weights import read

FILE = '4 channels of uint16 (blue, green, red, infrared)'


@pytest.fixture
def infrared(tmp_path):
    """Images as a satellite takes them: .npy, blue first."""
    root = tmp_path / 'my'
    rng = np.random.default_rng(0)
    for folder in 'images', 'masks':
        (root / folder).mkdir(parents=True)
    for i in range(5):
        label = rng.integers(0, 2, (40, 48)).astype('uint8')
        np.save(root / f'images/{i}.npy', (rng.integers(200, 3000, (40, 48, 4))).astype('uint16'))
        Image.fromarray(label).save(root / f'masks/{i}.png')
    (root / 'classes.txt').write_text('water\nland\n')
    (root / 'channels.txt').write_text('blue\ngreen\nred\ninfrared\n')
    (root / 'val.txt').write_text('0\n')
    return root


def test_four_channels_from_check_to_predict(infrared, run_main, tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    monkeypatch.setattr('tinyfcn.cli.check.describe_step', lambda found, dataset: 'a step')
    code, out, _ = run_main('check', infrared)
    assert code == 0 and FILE in out.splitlines()[0]

    run = tmp_path / 'run'
    code, _, err = run_main('train', 'folder', '--data', infrared, '--run', run, '--set', 'steps=1',
                            'crop_size=(32, 32)')
    assert code == 0
    assert f'images of {FILE}: each channel is prepared to the mean 0' in err
    _, about = read(run / 'last.safetensors')
    assert about['channels'] == dict(names=['blue', 'green', 'red', 'infrared'], dtype='uint16')
    assert about['build']['channels'] == 4

    code, out, _ = run_main('eval', run)
    assert code == 0 and 'mean IU' in out
    code, out, _ = run_main('predict', run, infrared / 'images/0.npy', '-o', tmp_path / 'out')
    assert code == 0 and len(out.splitlines()) == 1
    with Image.open(tmp_path / 'out/0.overlay.png') as overlay, \
            Image.open(tmp_path / 'out/0.png') as mask:
        assert overlay.mode == 'RGB' and mask.size == (48, 40)

    Image.new('RGB', (48, 40)).save(tmp_path / 'photo.png')
    code, out, err = run_main('predict', run, tmp_path / 'photo.png', '-o', tmp_path / 'out')
    assert code == 2 and len(err.splitlines()) == 1
    assert 'photo.png: 3 channels of uint8, and the images that the net was trained on have ' in err


def test_a_bad_image_ends_check_with_one_sentence_for_it(infrared, run_main):
    values = np.load(infrared / 'images/3.npy')
    np.save(infrared / 'images/3.npy', values[..., :2])
    code, out, err = run_main('check', infrared)
    assert code == 2 and err.splitlines()[-1] == 'tinyfcn: 1 problem in 4 images'
    assert '3.npy: 2 channels of uint16, and the other images' in out
