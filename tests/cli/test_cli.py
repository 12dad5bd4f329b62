"""The frame of the command line: help, exit codes, and a sentence instead of a traceback."""
import re
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from bad_input_samples import CASES, NAMES, whole
from PIL import Image

from tinyfcn import build, load, metrics, weights
from tinyfcn.cli import main
from tinyfcn.cli.tables import per_class
from tinyfcn.data import load_dataset

COMMANDS = 'demo train eval predict summary draw weights check data doctor'.split()


def tinyfcn(*words):
    return subprocess.run([sys.executable, '-m', 'tinyfcn', *words], capture_output=True, text=True)


def test_the_module_is_the_command():
    ran = tinyfcn('--help')
    assert ran.returncode == 0
    assert all(f'\n    {command} ' in ran.stdout for command in COMMANDS)


def test_a_mistake_is_2_and_one_sentence():
    ran = tinyfcn('summary', 'fcn9s')
    assert ran.returncode == 2 and not ran.stdout
    assert ran.stderr.startswith("tinyfcn: no net called 'fcn9s'; there are vgg16")
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_has_help_and_a_seed(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, '--help'])
    assert stop.value.code == 0 and '--seed' in capsys.readouterr().out


@pytest.mark.parametrize('words', [['dmeo'], [], ['summary'], ['draw', 'fcn8s'],
                                   ['weights', 'eat', 'x'], ['demo', '--seed', 'x'], ['train'],
                                   ['train', 'folder', '--set', 'lr'], ['predict', 'runs/x']])
def test_words_that_are_no_command(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and 'usage: tinyfcn' in capsys.readouterr().err


@pytest.fixture
def caffe_like(tmp_path):
    """SqueezeNet's weights under their own names, as somebody else would have saved them."""
    net = build('squeezenet', width=1/16, n_class=4)
    arrays = {name.replace('.w', '.weight').replace('.b', '.bias'): w
              for name, w in net.params.items()}
    np.savez(tmp_path / 'theirs.npz', **arrays)
    return tmp_path / 'theirs.npz', net


def test_weights_inspect(caffe_like, capsys):
    path, net = caffe_like
    assert main(['weights', 'inspect', str(path)]) == 0
    said = capsys.readouterr().out
    count = sum(w.size for w in net.params.values())
    assert 'format       npz' in said and f'52 arrays, {count:,} numbers' in said
    assert 'fire2/squeeze1x1.weight' in said and '2×4×1×1' in said


def test_weights_convert(caffe_like, capsys):
    path, net = caffe_like
    assert main(['weights', 'convert', str(path)]) == 0
    said, own = capsys.readouterr().out, path.with_suffix('.safetensors')
    assert 'SqueezeNet v1.1' in said and str(own) in said
    arrays, about = weights.read(own)
    assert about['preprocess']['order'] == 'BGR'
    for name, w in net.params.items():
        np.testing.assert_array_equal(arrays[name], w)
    assert main(['weights', 'convert', str(own)]) == 2
    assert 'is the file itself: name another with -o FILE' in capsys.readouterr().err


def test_what_is_no_file_of_weights(tmp_path, capsys):
    page = tmp_path / 'vgg.caffemodel'
    page.write_text('<html>404</html>')
    assert main(['weights', 'inspect', str(page)]) == 2
    said = capsys.readouterr().err
    assert str(page) in said and 'HTML' in said and 'Traceback' not in said
    assert main(['weights', 'inspect', str(tmp_path / 'nowhere.npz')]) == 2
    assert 'nowhere.npz' in capsys.readouterr().err


# ---- one's own pictures, from the check to the prediction ----------------------------------------

SHORT = ['--set', 'steps=4', 'every=2', 'size=(40, 56)']


def told(capsys, *words):
    """-> exit code, stdout, stderr of the command, without a traceback"""
    code = main([*map(str, words)])
    said = capsys.readouterr()
    assert 'Traceback' not in said.err
    return code, said.out, said.err


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run of four steps on a folder of twelve pictures."""
    root, runs = tmp_path_factory.mktemp('my'), tmp_path_factory.mktemp('runs')
    whole(root)
    for i in range(9):
        for folder, suffix in ('images', '.jpg'), ('masks', '.png'):
            (root / folder / f'{i}{suffix}').write_bytes(
                (root / folder / f'{NAMES[i % 3]}{suffix}').read_bytes())
    assert main(['train', 'folder', '--data', str(root), '--run', str(runs / 'my'), *SHORT]) == 0
    return root, runs / 'my'


def test_check_says_what_is_there(trained, capsys):
    root, _ = trained
    code, said, _ = told(capsys, 'check', root)
    assert code == 0 and '12 pictures, from 40×56 to 40×56 pixels' in said
    assert re.search(r'void 5\.0%; of the rest\n  sky +\d', said)


@pytest.mark.parametrize('name', CASES)
def test_whatever_is_wrong_with_a_set_is_2_and_a_sentence(tmp_path, capsys, name):
    make, pattern = CASES[name]
    set_name, root = make(tmp_path)
    code, out, err = told(capsys, 'check', set_name, '--data', root)
    assert code == 2
    assert re.search(pattern, out + err, re.S)


def test_a_manifest_sees_a_flipped_bit(tmp_path, capsys):
    whole(tmp_path)
    assert told(capsys, 'check', tmp_path, '--write-manifest')[0] == 0
    assert told(capsys, 'check', tmp_path)[0] == 0
    picture = tmp_path / 'images/two.jpg'
    data = bytearray(picture.read_bytes())
    data[-40] ^= 1
    picture.write_bytes(data)
    code, out, err = told(capsys, 'check', tmp_path)
    assert code == 2 and 'images/two.jpg: not as it was when' in out
    assert '1 problems in 3 pictures' in err


def test_training_is_written_down(trained, capsys):
    root, run = trained
    assert {path.name for path in run.iterdir()} == {
        'run.json', 'metrics.jsonl', 'last.safetensors', 'best.safetensors', 'curves.png',
        'predictions.png'}
    code, _, err = told(capsys, 'train', 'folder', '--data', root, '--run', run, *SHORT)
    assert code == 2 and '--resume goes on with it' in err


def test_eval_prints_what_the_metrics_are(trained, capsys, tmp_path):
    root, run = trained
    code, said, _ = told(capsys, 'eval', run, root, '--split', 'train', '--export', tmp_path)
    assert code == 0
    net, pictures = load(run / 'best.safetensors'), load_dataset('folder', root)
    preds = {}
    for name in pictures.names:
        with Image.open(tmp_path / f'score/{name}.png') as png:
            assert png.mode == 'P'
            preds[name] = np.array(png)
    hist = sum(metrics.confusion(pictures[i][1], preds[name], 3)
               for i, name in enumerate(pictures.names))
    scores = metrics.scores(hist)
    for key in 'pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu':
        assert f'{100 * scores[key]:.1f}' in said
    assert len(net.about['classes']) == 3 and 'sky' in said


def test_predict_paints_any_picture(trained, capsys, tmp_path):
    root, run = trained
    Image.fromarray(np.full((31, 17, 3), 90, 'uint8')).save(tmp_path / 'odd.png')
    code, said, _ = told(capsys, 'predict', run, tmp_path / 'odd.png', root / 'images/one.jpg',
                         '-o', tmp_path / 'out')
    assert code == 0 and 'odd.overlay.png' in said
    with Image.open(tmp_path / 'out/odd.png') as png:
        assert png.size == (17, 31) and png.mode == 'P'
    code, _, err = told(capsys, 'predict', run, tmp_path / 'gone.png', '-o', tmp_path / 'out')
    assert code == 2 and 'gone.png' in err


def test_a_class_that_is_nowhere_is_absent_and_not_nan():
    """Neither true nor predicted: tree. Predicted and never true: road, whose IU is 0."""
    hist = np.array([[5, 0, 2], [0, 0, 0], [0, 0, 0]])
    said = per_class(metrics.scores(hist), hist, ['sky', 'tree', 'road'])
    rows = dict(re.findall(r'^(sky|tree|road) +(\S+)', said, re.M))
    assert rows == {'sky': '71.4', 'tree': 'absent', 'road': '0.0'} and 'nan' not in said
    assert 'over the 2 of 3 classes' in said


@pytest.mark.parametrize('words, why', [
    (['train', 'voc-fcn9s'], 'no recipe called .voc-fcn9s.; there are voc-fcn32s, voc-fcn16s'),
    (['train', 'folder', '--set', 'colour=3'], 'has no colour; it has net, train'),
    (['train', 'folder', '--set', 'loss=sum'], 'lr 0.003 is one of a mean loss, and this one is'),
    (['train', 'voc-fcn32s', '--set', 'loss=mean'], 'lr 1e-10 is one of a summed loss'),
    (['train', 'folder', '--data', 'nowhere'], 'nowhere'),
    (['train', 'shapes-16s'], 'begins with the weights of shapes-32s: --weights FILE'),
    (['train', 'shapes-32s', '--weights', 'gone.npz'], 'gone.npz'),
    (['train', 'shapes-32s', '--set', 'steps=-1'], 'steps is -1: a whole number above 0'),
    (['eval', 'gone'], 'gone'), (['predict', 'gone', 'x.png'], 'gone'),
    (['check', 'nowhere'], 'no data set called .nowhere.; there are voc'),
    (['data', 'imagenet'], 'is no data set that can be fetched; there are voc2011')])
def test_mistakes(words, why, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = told(capsys, *words)
    assert code == 2 and re.search(why, err), err


def test_data_takes_an_archive_that_one_has(tmp_path, capsys, monkeypatch):
    """And the set is then found by its name."""
    monkeypatch.chdir(tmp_path)
    label = np.arange(12, dtype='uint8').reshape(3, 4) % 8
    for folder, mode, suffix in ('images', 'RGB', 'jpg'), ('labels', 'L', 'png'):
        (tmp_path / 'iccv09Data' / folder).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(label).convert(mode).save(f'iccv09Data/{folder}/{i}.{suffix}')
    for name in 'horizons.txt', 'README':
        (tmp_path / 'iccv09Data' / name).touch()
    with tarfile.open('stanford.tgz', 'w:gz') as archive:
        archive.add('iccv09Data')
    code, said, _ = told(capsys, 'data', 'stanford', '--from', 'stanford.tgz')
    assert code == 0 and 'data/stanford' in said
    code, said, _ = told(capsys, 'check', 'stanford')
    assert code == 0 and '3 pictures, from 3×4' in said


def test_doctor_looks_at_the_machine(capsys):
    code, said, _ = told(capsys, 'doctor')
    assert code == 0
    for line in 'tinyfcn', 'BLAS', 'GPU', 'memory', 'disk':
        assert re.search(f'^{line} ', said, re.M)
    assert float(re.search(r'([\d.]+) GFLOP/s', said).group(1)) > 1
