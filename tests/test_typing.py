"""mypy accepts the package, and knows the type of every value in a user's script.

pyproject.toml says which modules mypy checks in strict mode.
"""
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = '''\
import tinyfcn

net = tinyfcn.build('tiny_8s', n_class=5, width=1 / 8)
dataset = tinyfcn.load_dataset('shapes', size=(48, 64))
recipe = tinyfcn.training.get_recipe('shapes-8s', steps=2, batch=1)
rows = tinyfcn.fit(net, dataset, recipe)
image, label = dataset[0]
mask = tinyfcn.predict(net, image)
scores = tinyfcn.evaluate(net, dataset.subset(dataset.names[:2]))
page = tinyfcn.viz.overlay(image, mask, dataset.classes)
'''
# none of these may be Any
VALUES = (
    'net', 'dataset', 'recipe', 'rows', 'image', 'label', 'mask', 'scores', 'page',
    'net.forward(image)', 'net.params["conv1_1.w"]', 'net["score"]', 'tinyfcn.ops.conv2d',
    'tinyfcn.optim.SGD(lr=.1)', 'tinyfcn.load("net")', 'tinyfcn.training.fit',
    'tinyfcn.weights.read', 'rows[0]["loss"]', 'scores["mean_iu"]')
# public functions that take these values
CALLS = '''\
tinyfcn.viz.draw_net(net, 'net.png')
tinyfcn.viz.overlay('photo.jpg', mask, net.about['classes']).save('overlay.png')
tinyfcn.viz.overlay(image, label, dataset.classes)
tinyfcn.optim.SGD(lr=.1).step(net.params, net.backward(score=net.forward(image, train=True)))
net.save('net.safetensors')
'''

# each is an error of its own
MISTAKES = {
    'a net that is a number': 'tinyfcn.build(8)',
    'a number of classes in words': "tinyfcn.build('tiny_8s', n_class='five')",
    'a loss of no net': "tinyfcn.fit('tiny_8s', tinyfcn.load_dataset('shapes'), 'shapes-8s')",
    'an unknown keyword': "tinyfcn.predict(tinyfcn.load('net'), 'photo.jpg', mirrored=True)",
    'an unknown name': "tinyfcn.biuld('fcn8s')",
    'a learning rate in words': "tinyfcn.optim.SGD(lr='high')",
    'an unknown metric': "tinyfcn.evaluate(tinyfcn.load('net'), tinyfcn.load_dataset('shapes'))"
                         "['accuracy']",
}


@pytest.fixture(scope='module')
def require_mypy():
    if not find_spec('mypy'):
        assert os.environ.get('CI') != 'true', 'mypy is not installed: pip install mypy'
        pytest.skip('mypy is not installed')


@pytest.mark.usefixtures('require_mypy')
def test_mypy_accepts_the_package(tmp_path):
    done = subprocess.run([sys.executable, '-m', 'mypy', '--cache-dir', str(tmp_path)], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, '\n' + done.stdout + done.stderr


@pytest.fixture(scope='module')
def run_mypy(require_mypy, tmp_path_factory):
    """run_mypy(source) -> its output on a file with this source, in strict mode"""
    folder = tmp_path_factory.mktemp('typing')
    (folder / 'mypy.ini').write_text('[mypy]\nstrict = true\nfollow_imports = silent\n')

    def check(source):
        (folder / 'script.py').write_text(source)
        done = subprocess.run([sys.executable, '-m', 'mypy', 'script.py'], cwd=folder,
                              capture_output=True, text=True,
                              env={**os.environ, 'MYPYPATH': str(ROOT)})
        assert done.returncode in (0, 1), done.stdout + done.stderr     # 2 is a failure of mypy
        return done.stdout
    return check


def test_the_script_runs(tmp_path):
    done = subprocess.run([sys.executable, '-c', SCRIPT + 'print(mask.shape, len(rows))'],
                          cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, 'PYTHONWARNINGS': 'error'})
    assert done.stdout == '(48, 64) 2\n', done.stderr


def test_mypy_accepts_the_script_and_knows_every_type(run_mypy):
    output = run_mypy(SCRIPT + CALLS + ''.join(f'reveal_type({value})\n' for value in VALUES))
    assert 'error:' not in output, output
    revealed = re.findall(r'Revealed type is "(.*)"', output)
    types = dict(zip(VALUES, revealed, strict=True))
    unknown = [value for value, name in types.items() if name in ('Any', 'builtins.object')]
    assert not unknown, output
    assert types['net'] == 'tinyfcn.net.net.Net'
    assert types['dataset'] == 'tinyfcn.data.dataset.Dataset'
    assert 'float' in types['rows[0]["loss"]']


def test_mypy_reports_wrong_arguments(run_mypy):
    """Each mistake on its own line is an error on that line."""
    output = run_mypy('import tinyfcn\n' + ''.join(f'{line}\n' for line in MISTAKES.values()))
    lines = {int(number) for number in re.findall(r'^script\.py:(\d+): error', output, re.M)}
    missed = [name for number, name in enumerate(MISTAKES, 2) if number not in lines]
    assert not missed, output
