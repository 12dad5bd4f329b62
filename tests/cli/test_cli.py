"""The command line: help, exit codes, and a message instead of a traceback."""
import re
import shlex
import subprocess
import sys
import tarfile
from importlib import import_module

import numpy as np
import pytest
from bad_input_samples import BAD_INPUT, write_dataset
from PIL import Image

from tinyfcn import build, load, metrics, weights
from tinyfcn.cli import COMMANDS, main, parse
from tinyfcn.cli.tables import iu_table
from tinyfcn.data import load_dataset


def run_python(*args):
    return subprocess.run([sys.executable, *args], capture_output=True, text=True)


def run_main(capsys, *args):
    """-> exit code, stdout, stderr of a command, which has no traceback in it"""
    code = main([*map(str, args)])
    captured = capsys.readouterr()
    assert 'Traceback' not in captured.err
    return code, captured.out, captured.err


# ---- Help and the choice of a command ------------------------------------------------------------

def test_the_commands_are_these():
    assert [*COMMANDS] == (
        'demo train eval predict replay summary draw explain weights export check plan data '
        'doctor'.split())


def test_python_m_tinyfcn_is_the_command():
    done = run_python('-m', 'tinyfcn', '--help')
    assert done.returncode == 0
    for name, command in COMMANDS.items():
        assert re.search(rf'^    {name} +{re.escape(command.help)}$', done.stdout, re.M), name


def test_an_error_is_exit_code_2_and_one_line():
    done = run_python('-m', 'tinyfcn', 'summary', 'fcn9s')
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("tinyfcn: no net called 'fcn9s'") and 'vgg16' in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_has_help_and_a_seed(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, '--help'])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and '--seed' in text
    assert max(map(len, text.splitlines())) < 100


@pytest.mark.parametrize('command', COMMANDS)
def test_the_examples_of_the_help_are_valid(command):
    text = import_module(f'tinyfcn.cli.{COMMANDS[command].module}').__doc__
    for example in re.findall(rf'^  tinyfcn ({command} .*)', text, re.M):
        words = shlex.split(re.split(r'\s{3,}', example)[0])
        assert parse(words).command == ['tinyfcn', *words]


def test_help_imports_no_command():
    script = ('import sys\n'
              'from tinyfcn.cli import main\n'
              'try:\n'
              '    main(["--help"])\n'
              'except SystemExit:\n'
              '    print(*sys.modules)\n')
    loaded = set(run_python('-c', script).stdout.split())
    assert 'tinyfcn.cli' in loaded
    assert not loaded & {'tinyfcn.training', 'tinyfcn.data', 'tinyfcn.ops', 'tinyfcn.viz', 'tqdm',
                         *(f'tinyfcn.cli.{command.module}' for command in COMMANDS.values())}


def test_a_command_imports_no_other_command():
    script = ('import sys\n'
              'from tinyfcn.cli import main\n'
              'main(["summary", "tiny_8s"])\n'
              'print(*sys.modules)\n')
    loaded = set(run_python('-c', script).stdout.split())
    assert 'tinyfcn.cli.summary' in loaded
    assert not loaded & {'tinyfcn.training', 'tinyfcn.cli.train', 'tinyfcn.cli.demo'}


@pytest.mark.parametrize('args', [['dmeo'], [], ['summary'], ['draw', '-o'],
                                  ['weights', 'eat', 'x'], ['demo', '--seed', 'x'],
                                  ['train', 'folder', '--set', 'lr'], ['predict', 'runs/x']])
def test_wrong_arguments_print_the_usage(args, capsys):
    with pytest.raises(SystemExit) as stop:
        main(args)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and 'usage: tinyfcn' in err
    assert not args or len(err.splitlines()) == 2 and ': error: ' in err


# ---- Files of weights ----------------------------------------------------------------------------

@pytest.fixture
def foreign_weights(tmp_path):
    """SqueezeNet's weights as another framework names them: a file, and the net."""
    net = build('squeezenet', width=1/16, n_class=4)
    arrays = {name.replace('.w', '.weight').replace('.b', '.bias'): w
              for name, w in net.params.items()}
    file = tmp_path / 'theirs.npz'
    np.savez(file, **arrays)
    return file, net


def test_the_folder_of_a_run_stands_for_its_weights(trained, tmp_path, run_main):
    root, run = trained
    code, out, _ = run_main('weights', 'inspect', run)
    assert code == 0 and re.search(r'^score_fr\.w +float32', out, re.M)
    code, _, err = run_main('weights', 'inspect', root)
    assert code == 2 and 'neither best.safetensors nor last.safetensors is in this folder' in err
    name = load(run).about['classes'][1]
    code, out, err = run_main('draw', 'tiny_8s', '--classes', 3, '--weights', run,
                              '--heatmap', name, root / 'images/one.jpg',
                              '-o', tmp_path / 'heat.png')
    assert code == 0 and out.startswith(f'{name}: '), err


def test_weights_inspect(foreign_weights, capsys):
    file, net = foreign_weights
    code, out, _ = run_main(capsys, 'weights', 'inspect', file)
    count = sum(w.size for w in net.params.values())
    assert code == 0 and 'format       npz' in out and f'52 arrays, {count:,} numbers' in out
    assert 'fire2/squeeze1x1.weight' in out and '2×4×1×1' in out


def test_weights_convert(foreign_weights, capsys):
    file, net = foreign_weights
    converted = file.with_suffix('.safetensors')
    code, out, _ = run_main(capsys, 'weights', 'convert', file)
    assert code == 0 and 'SqueezeNet v1.1' in out and str(converted) in out
    arrays, about = weights.read(converted)
    assert about['preprocess']['order'] == 'BGR'
    for name, w in net.params.items():
        np.testing.assert_array_equal(arrays[name], w)
    code, _, err = run_main(capsys, 'weights', 'convert', converted)
    assert code == 2 and 'is the file itself: name another with -o FILE' in err


def test_files_that_hold_no_weights(tmp_path, capsys):
    page = tmp_path / 'vgg.caffemodel'
    page.write_text('<html>404</html>')
    code, _, err = run_main(capsys, 'weights', 'inspect', page)
    assert code == 2 and str(page) in err and 'HTML' in err
    code, _, err = run_main(capsys, 'weights', 'inspect', tmp_path / 'nowhere.npz')
    assert code == 2 and 'nowhere.npz' in err


# ---- Images of your own: check, train, evaluate, predict -----------------------------------------

def test_check_describes_a_data_set(trained, capsys):
    root, _ = trained
    code, out, _ = run_main(capsys, 'check', root)
    assert code == 0 and '12 images, of 40×56 pixels (rows × columns)' in out
    assert re.search(r'\nshares: void 5\.0%; of the rest\n  sky +\d', out)


@pytest.mark.parametrize('name', BAD_INPUT)
def test_check_reports_what_is_wrong_with_a_data_set(tmp_path, capsys, name):
    make, pattern = BAD_INPUT[name]
    set_name, root = make(tmp_path)
    code, out, err = run_main(capsys, 'check', set_name, '--data', root)
    assert code == 2
    assert re.search(pattern, out + err, re.S)


def test_a_manifest_detects_a_flipped_bit(tmp_path, capsys):
    write_dataset(tmp_path)
    assert run_main(capsys, 'check', tmp_path, '--write-manifest')[0] == 0
    assert run_main(capsys, 'check', tmp_path)[0] == 0
    image = tmp_path / 'images/two.jpg'
    data = bytearray(image.read_bytes())
    data[-40] ^= 1
    image.write_bytes(data)
    code, out, err = run_main(capsys, 'check', tmp_path)
    assert code == 2 and 'images/two.jpg' in out and 'SHA-256' in out
    assert '1 problem in 3 images' in err


def test_a_run_has_these_files_and_is_not_overwritten(trained, four_steps, capsys):
    root, run = trained
    assert {path.name for path in run.iterdir()} == {
        'run.json', 'metrics.jsonl', 'last.safetensors', 'best.safetensors', 'curves.png',
        'predictions.png'}
    code, _, err = run_main(capsys, 'train', 'folder', '--data', root, '--run', run, *four_steps)
    assert code == 2 and str(run) in err and '--resume' in err


def test_eval_prints_what_the_metrics_are(trained, capsys, tmp_path):
    root, run = trained
    code, out, _ = run_main(capsys, 'eval', run, root, '--split', 'train', '--export', tmp_path)
    assert code == 0
    net = load(run / 'best.safetensors')
    dataset = load_dataset('folder', root)
    hist = np.zeros((3, 3), int)
    for i, name in enumerate(dataset.names):
        with Image.open(tmp_path / f'score/{name}.png') as png:
            assert png.mode == 'P'
            pred = np.array(png)
        _, label = dataset[i]
        hist += metrics.confusion(label, pred, 3)
    scores = metrics.scores(hist)
    for key in 'pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu':
        assert f'{100 * scores[key]:.1f}' in out
    assert len(net.about['classes']) == 3 and 'sky' in out


def test_eval_without_a_data_set_takes_the_validation_set_of_the_run(trained, capsys):
    root, run = trained
    code, out, _ = run_main(capsys, 'eval', run, '--data', root)
    assert code == 0 and 'mean IU' in out


def test_predict_takes_images_of_any_size(trained, capsys, tmp_path):
    root, run = trained
    Image.fromarray(np.full((31, 17, 3), 90, 'uint8')).save(tmp_path / 'odd.png')
    code, out, _ = run_main(capsys, 'predict', run, tmp_path / 'odd.png', root / 'images/one.jpg',
                            '-o', tmp_path / 'out')
    assert code == 0 and re.search(r'odd\.overlay\.png   \w+ \d+%', out)
    with Image.open(tmp_path / 'out/odd.png') as png:
        assert png.size == (17, 31) and png.mode == 'P'
    code, _, err = run_main(capsys, 'predict', run, tmp_path / 'gone.png', '-o', tmp_path / 'out')
    assert code == 2 and 'gone.png' in err


def test_predict_overwrites_no_image_and_no_other_mask(trained, capsys, tmp_path):
    _, run = trained
    image = tmp_path / 'x.png'
    Image.fromarray(np.full((31, 17, 3), 90, 'uint8')).save(image)
    before = image.read_bytes()
    code, _, err = run_main(capsys, 'predict', run, image, '-o', tmp_path)
    assert code == 2 and str(image) in err and '-o FOLDER' in err
    other = tmp_path / 'other' / 'x.png'
    other.parent.mkdir()
    other.write_bytes(before)
    code, _, err = run_main(capsys, 'predict', run, image, other, '-o', tmp_path / 'out')
    assert code == 2 and 'two images are called x' in err
    assert image.read_bytes() == before and not (tmp_path / 'out').exists()


def test_a_class_without_pixels_is_absent_and_not_nan():
    """Neither labelled nor predicted: tree. Predicted and never labelled: road, whose IU is 0."""
    hist = np.array([[5, 0, 2], [0, 0, 0], [0, 0, 0]])
    text = iu_table(metrics.scores(hist), hist, ['sky', 'tree', 'road'])
    rows = dict(re.findall(r'^(sky|tree|road) +(\S+)', text, re.M))
    assert rows == {'sky': '71.4', 'tree': 'absent', 'road': '0.0'} and 'nan' not in text
    assert 'over the 2 of 3 classes' in text


# ---- Mistakes ------------------------------------------------------------------------------------

@pytest.mark.parametrize('args, pattern', [
    (['train', 'voc-fcn9s'], 'voc-fcn9s.*voc-fcn32s, voc-fcn16s'),
    (['train', 'folder', '--set', 'color=3'], 'color; did you mean colour'),
    (['train', 'folder', '--set', 'loss=sum'], r'lr 0\.003 .* loss="mean"'),
    (['train', 'voc-fcn32s', '--set', 'loss=mean'], 'lr 1e-10 .* loss="sum"'),
    (['train', 'folder', '--data', 'nowhere'], 'nowhere'),
    (['train', 'shapes-16s'], 'starts from the weights of shapes-32s: give --weights FILE'),
    (['train', 'shapes-32s', '--weights', 'gone.npz'], 'gone.npz'),
    (['train', 'shapes-32s', '--set', 'steps=-1'], 'steps is -1'),
    (['eval', 'gone'], 'gone'), (['predict', 'gone', 'x.png'], 'gone'),
    (['check', 'nowhere'], 'nowhere.*voc'),
    (['data', 'imagenet'], 'imagenet.*voc2011')])
def test_mistakes(args, pattern, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run_main(capsys, *args)
    assert code == 2 and re.search(pattern, err), err


# ---- Data sets and the machine -------------------------------------------------------------------

def test_data_takes_an_archive_from_disk(tmp_path, capsys, monkeypatch):
    """Then the data set is found by its name."""
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
    code, out, _ = run_main(capsys, 'data', 'stanford', '--from', 'stanford.tgz')
    assert code == 0 and 'data/stanford' in out
    code, out, _ = run_main(capsys, 'check', 'stanford')
    assert code == 0 and '3 images, of 3×4' in out


def test_doctor_describes_the_machine(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'cupy', None)
    monkeypatch.setenv('TINYFCN_THREADS', '1')
    code, out, _ = run_main(capsys, 'doctor')
    assert code == 0
    assert re.search('^threads +1: TINYFCN_THREADS$', out, re.M)
    assert re.search('^GPU +none to use, wheel: CuPy is not installed: for an NVIDIA GPU, pip', out,
                     re.M)
    for topic in 'tinyfcn', 'BLAS', 'kernels', 'GPU', 'memory', 'disk':
        assert re.search(f'^{topic} ', out, re.M)
    assert float(re.search(r'([\d.]+) GFLOP/s', out).group(1)) > 0
    assert re.search(r'^kernels +compiled by Numba [\d.]+ for vectors of (4|8|16) floats$', out,
                     re.M)


def test_doctor_says_why_numba_compiles_nothing(capsys, monkeypatch):
    """Too old for this NumPy, say, or on a CPU without vectors."""
    monkeypatch.setitem(sys.modules, 'tinyfcn.kernels.cpu.simd', None)
    _, out, _ = run_main(capsys, 'doctor')
    assert re.search('^kernels +not those compiled by Numba, so every op runs its reference: .+',
                     out, re.M)


def test_doctor_says_what_is_missing_without_numba(capsys, monkeypatch):
    monkeypatch.setattr('tinyfcn.cli.doctor.has_numba', lambda: False)
    _, out, _ = run_main(capsys, 'doctor')
    assert re.search('^kernels +Numba is not installed, so every op runs its reference: pip', out,
                     re.M)
