"""What a newcomer types first: weights get, predict and train with a name; and what is answered."""
import json
import re

import numpy as np
import pytest
from PIL import Image
from published import random_net

from tinyfcn import build, load
from tinyfcn.cli.first_weights import recipe_for_folder
from tinyfcn.data.imagenet import class_names
from tinyfcn.data.voc import CLASSES

STEPS = ['--set', 'steps=2', 'validate_every=2', 'crop_size=(40, 56)', 'iter_size=1']
DEAD = 'http://127.0.0.1:9/weights.pth'


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A photo in an empty folder, in which the commands are typed."""
    here = tmp_path / 'here'
    here.mkdir()
    monkeypatch.chdir(here)
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), 'uint8')
    Image.fromarray(image).save('photo.jpg')
    return here / 'photo.jpg'


@pytest.fixture(scope='module')
def squeezenet():
    """As wide as the real one: a recipe asks for it."""
    return random_net('squeezenet', 1000, width=1)


# ---- the three commands --------------------------------------------------------------------------

def test_weights_get_then_predict(publish, photo, run_main):
    here = publish('fcn_resnet50', random_net('fcn_resnet50', 21), mirrors=[DEAD])
    code, out, err = run_main('weights', 'get', 'fcn_resnet50')
    assert code == 0, err
    dead, checksum, licence, citation, path = out.splitlines()
    assert dead.startswith(f'{DEAD}: ') and 'refused' in dead
    assert checksum.startswith('fcn_resnet50-small.pth agrees with its SHA-256 ')
    assert licence == 'licence: free for all' and citation == 'cite: A. Uthor, A Net, 2026'
    assert path == str(here.cached)
    assert err.splitlines()[-1] == f'  0 MB, {here.url}'

    code, out, err = run_main('predict', 'fcn_resnet50', 'photo.jpg')
    assert code == 0 and not err
    [line] = out.splitlines()
    file, shares = line.split('   ')
    assert file == 'predictions/photo.overlay.png'
    assert all(re.sub(r' \d+%', '', share) in CLASSES for share in shares.split(', '))
    with Image.open('predictions/photo.png') as mask:
        assert mask.size == (80, 60) and mask.mode == 'P'
    assert len(here.server.requests) == 1


def test_predict_downloads_what_is_named_and_says_so_once(publish, photo, run_main):
    here = publish('fcn_resnet50', random_net('fcn_resnet50', 21), mirrors=[DEAD])
    code, out, err = run_main('predict', 'fcn_resnet50', 'photo.jpg')
    assert code == 0 and out.startswith('predictions/photo.overlay.png   ')
    dead_progress, progress, dead, checksum, licence, citation = err.splitlines()
    assert dead.startswith(f'{DEAD}: ') and progress == f'  0 MB, {here.url}'
    assert 'agrees with its SHA-256' in checksum
    assert (licence, citation) == ('licence: free for all', 'cite: A. Uthor, A Net, 2026')
    code, again, err = run_main('predict', 'fcn_resnet50', 'photo.jpg')
    assert (code, again, err) == (0, out, '') and len(here.server.requests) == 1


def test_a_classifier_prints_its_classes(publish, photo, run_main):
    publish('squeezenet', random_net('squeezenet', 1000))
    run_main('weights', 'get', 'squeezenet')
    code, out, err = run_main('predict', 'squeezenet', 'photo.jpg')
    assert code == 0 and not err
    name, *rows = out.splitlines()
    assert name == 'photo.jpg:' and len(rows) == 5
    found = [re.fullmatch(r' {2,}(\d+\.\d)%  (.+?)( \(.+\))?', row).groups() for row in rows]
    assert all(of_class in class_names() for _, of_class, _ in found)
    assert [float(p) for p, _, _ in found] == sorted((float(p) for p, *_ in found), reverse=True)
    assert [path.name for path in photo.parent.iterdir()] == ['photo.jpg']


def test_eval_with_a_name(publish, photo, run_main):
    """On a folder whose classes are those of the weights, and on one whose are others."""
    publish('fcn_resnet50', random_net('fcn_resnet50', 21))
    for folder in 'images', 'masks':
        (photo.parent / 'voc-like' / folder).mkdir(parents=True)
        for i in range(5):
            image = Image.new('RGB' if folder == 'images' else 'L', (40, 30), i)
            image.save(f'voc-like/{folder}/{i}.png')
    for classes, expected in (CLASSES, 0), (CLASSES[::-1], 2):
        (photo.parent / 'voc-like/classes.txt').write_text('\n'.join(classes))
        code, out, err = run_main('eval', 'fcn_resnet50', 'voc-like')
        assert code == expected, err
        if code:
            assert "class 0 is 'background' for the net and 'tvmonitor' in the data set" in err
        else:
            assert re.search(r'^fcn_resnet50 +\d', out, re.M) and 'aeroplane' in out


def test_what_makes_no_sense_with_a_classifier(publish, photo, run_main):
    publish('squeezenet', random_net('squeezenet', 1000))
    code, _, err = run_main('predict', 'squeezenet', 'photo.jpg', '--flip', '--window', '64')
    assert code == 2 and '--flip --window: this net scores an image as a whole' in err
    code, _, err = run_main('eval', 'squeezenet', 'shapes')
    assert code == 2 and 'squeezenet scores an image as a whole, and these metrics' in err


def test_train_with_a_name(publish, photo, trained, run_main, squeezenet):
    here = publish('squeezenet', squeezenet)
    data, _ = trained
    code, out, err = run_main('train', 'folder', '--data', data, '--weights', 'squeezenet', *STEPS)
    assert code == 0, err
    first, _, third, fourth, *_ = out.splitlines()
    assert re.fullmatch(r'folder-squeezenet: training fcn_squeezenet_16s \([\d,]+ parameters\) on '
                        r'9 images, validating on 3 others', first)
    assert third == f'  starting from {here.cached}' and fourth == f'In runs/{data.name}:'
    assert re.search(rf'^runs/{data.name} +\d', out, re.M)
    assert err.splitlines()[-2:] == ['licence: free for all', 'cite: A. Uthor, A Net, 2026']
    net = load(f'runs/{data.name}')
    assert net.about['build']['name'] == 'fcn_squeezenet_16s'
    assert net.about['preprocess']['order'] == 'RGB' and 'shorter_side' not in net.about
    code, out, err = run_main('predict', f'runs/{data.name}', 'photo.jpg')
    assert code == 0 and not err


@pytest.mark.parametrize('name, n_class, net', [
    ('fcn_resnet50', 21, 'fcn_resnet50'), ('resnet50', 1000, 'fcn_resnet50'),
    ('vgg16_torchvision', 1000, 'fcn8s_at_once')])
def test_weights_of_another_net_than_that_of_the_recipe(name, n_class, net, publish, photo, trained,
                                                        run_main):
    of_net = name.removesuffix('_torchvision')
    publish(name, random_net(of_net, n_class))
    command = ['train', 'folder', '--data', trained[0], '--weights', name, *STEPS]
    code, _, err = run_main(*command)
    assert code == 2
    assert (f'.pth has the weights of {of_net}, which do not fit into tiny_8s; `--set net={net} '
            f'lr=0.0001` trains a net that they fit into: ') in err
    code, _, err = run_main(*command, f'net={net}', 'lr=1e-4', 'net_kwargs={"width": .0625}')
    assert code == 0, err


def test_as_many_weights_as_a_recipe_starts_from(trained, photo, run_main):
    code, _, err = run_main('train', 'folder-squeezenet', '--data', trained[0], '--weights',
                            'a.npz', 'b.npz')
    assert code == 2
    assert 'starts from the weights of squeezenet: --weights takes 1, and 2 are given' in err


# ---- train folder --------------------------------------------------------------------------------

def test_train_folder_starts_from_what_has_been_fetched(publish, photo, trained, run_main,
                                                        squeezenet):
    here = publish('squeezenet', squeezenet)
    data, _ = trained
    command = ['train', 'folder', '--data', data, *STEPS]
    code, out, err = run_main(*command, '--run', 'small')
    assert code == 0 and not err
    assert ('starting from random weights. From ImageNet weights fewer images are enough:\n'
            '  `tinyfcn weights get googlenet`, 54 MB, or squeezenet, 5 MB, and start again with '
            'another --run FOLDER\n') in out
    assert not here.server.requests                     # a recipe downloads nothing

    run_main('weights', 'get', 'squeezenet')
    code, out, err = run_main(*command, '--run', 'large')
    assert code == 0 and not err
    assert out.startswith('folder-squeezenet: ') and f'starting from {here.cached}\nIn' in out

    for run, name in ('small', 'tiny_8s'), ('large', 'fcn_squeezenet_16s'):     # stays what it was
        code, _, err = run_main(*command, 'steps=3', '--run', run, '--resume')
        assert code == 2 and 'is of a run that differs in steps' in err
        code, _, err = run_main(*command, '--run', run, '--resume')
        assert code == 0 and 'this run is finished' in err
        assert json.loads((photo.parent / run / 'run.json').read_text())['recipe']['net'] == name


@pytest.mark.parametrize('net, name', [
    ('googlenet', 'folder-googlenet'), ('fcn_googlenet_16s', 'folder-googlenet'),
    ('squeezenet', 'folder-squeezenet'), ('tiny_8s', 'folder')])
def test_weights_decide_which_recipe_folder_stands_for(net, name, tmp_path):
    file = tmp_path / 'weights.safetensors'
    build(net, 3, width=1/16).save(file)
    assert recipe_for_folder([file], {}) == name
    assert recipe_for_folder([file], {'net': 'tiny_16s'}) == 'folder'


@pytest.mark.parametrize('changes, net', [
    (["net_kwargs={'width': .125}"], 'tiny_8s'), (['net=tiny_16s'], 'tiny_16s')])
def test_a_net_that_is_asked_for_stays(changes, net, publish, photo, trained, run_main,
                                       squeezenet):
    publish('squeezenet', squeezenet)
    run_main('weights', 'get', 'squeezenet')
    code, out, err = run_main('train', 'folder', '--data', trained[0], '--run', 'run', *STEPS,
                              *changes)
    assert code == 0 and out.startswith('folder: '), err
    assert load('run').about['build']['name'] == net


def test_a_small_net_goes_on_from_its_own_weights(trained, photo, run_main):
    """--weights with the weights of another run of recipe folder."""
    data, run = trained
    code, out, err = run_main('train', 'folder', '--data', data, '--weights', run, '--run', 'new',
                              *STEPS)
    assert code == 0 and re.search(f'^  starting from {run}$', out, re.M), err


# ---- recipes -------------------------------------------------------------------------------------

@pytest.mark.parametrize('recipe, weights', [
    ('voc-fcn32s', 'vgg16'), ('voc-fcn-alexnet', 'alexnet'), ('voc-googlenet-table1', 'googlenet'),
    ('voc-deeplab-resnet101', 'resnet101'), ('folder-squeezenet', 'squeezenet')])
def test_a_recipe_names_the_command_that_gets_its_weights(recipe, weights, trained, photo,
                                                          run_main):
    code, _, err = run_main('train', recipe, '--data', trained[0], '--set',
                            'train=("folder", "train")', 'valid=None')
    assert code == 2
    assert err == (f'tinyfcn: this recipe starts from the weights of {weights}: `tinyfcn weights '
                   f'get {weights}` fetches them; or give others with --weights FILE\n')


def test_a_preprocess_that_contradicts_the_weights(publish, photo, trained, run_main, squeezenet):
    publish('squeezenet', squeezenet)
    run_main('weights', 'get', 'squeezenet')
    bgr = 'preprocess={"order": "BGR", "scale": 1, "mean": (104, 117, 123), "std": (1, 1, 1)}'
    command = ['train', 'folder', '--data', trained[0], *STEPS]
    code, _, err = run_main(*command, bgr)
    assert code == 2 and re.search(r'\.pth was trained on images of order .RGB., and the recipe '
                                   r'preprocesses them with .BGR.: leave out preprocess', err)
    assert not (photo.parent / 'runs').exists()


# ---- mistakes ------------------------------------------------------------------------------------

@pytest.mark.parametrize('command', [
    ['predict', 'fcn_resnet50', 'photo.jpg'], ['eval', 'fcn_resnet50', 'shapes'],
    ['train', 'shapes-32s', '--weights', 'fcn_resnet50'],
    ['draw', 'fcn_resnet50', '--heatmap', 'dog', 'photo.jpg', '-o', 'x.png'],
    ['export', 'fcn_resnet50', '-o', 'net.npz']])
def test_offline_each_command_says_which_file_to_put_where(command, publish, photo, run_main):
    here = publish('fcn_resnet50', random_net('fcn_resnet50', 21))
    here.server.behaviours[here.own.name] = ['404']
    code, out, err = run_main(*command)
    assert code == 2 and not out
    assert f'{here.url}: HTTP 404' in err
    assert re.search('Get this file in another way:\n  fcn_resnet50-small.pth .*\n'
                     'and then: tinyfcn weights get fcn_resnet50 --from fcn_resnet50-small.pth\n$',
                     err)
    code, out, err = run_main('weights', 'get', 'fcn_resnet50', '--from', here.own)
    assert code == 0 and here.cached.exists()


@pytest.mark.parametrize('command', ['predict', 'eval', 'export'])
def test_a_wrong_name_is_answered_with_near_ones(command, photo, run_main):
    options = dict(predict=['photo.jpg'], eval=['shapes'], export=['-o', 'x.npz'])[command]
    code, _, err = run_main(command, 'fcn_resnet5', *options)
    assert code == 2
    assert err == ("tinyfcn: fcn_resnet5: no such file or folder, and no weights are called "
                   "'fcn_resnet5'; did you mean fcn_resnet50, fcn_resnet101, resnet50? "
                   "`tinyfcn weights list` shows all\n")


def test_nothing_is_downloaded_for_an_image_that_is_not_there(publish, photo, run_main):
    here = publish('fcn_resnet50', random_net('fcn_resnet50', 21))
    code, _, err = run_main('predict', 'fcn_resnet50', 'gone.jpg')
    assert code == 2 and 'gone.jpg: no such file' in err and not here.server.requests


@pytest.mark.parametrize('arguments, message', [
    (['nowhere'], 'nowhere: neither a folder nor the name of a data set'),
    (['voc'], 'voc is not in data'),
    ([], 'fcn_resnet50 was not trained by a run of tinyfcn: name a data set')])
def test_nothing_is_downloaded_for_a_data_set_that_is_not_there(arguments, message, publish, photo,
                                                                run_main):
    here = publish('fcn_resnet50', random_net('fcn_resnet50', 21))
    code, _, err = run_main('eval', 'fcn_resnet50', *arguments)
    assert code == 2 and message in err and not here.server.requests


def test_a_file_of_that_name_is_taken(publish, photo, trained, run_main):
    here = publish('fcn_resnet50', random_net('fcn_resnet50', 21))
    (photo.parent / 'fcn_resnet50').symlink_to(trained[1])
    code, out, _ = run_main('predict', 'fcn_resnet50', 'photo.jpg')
    assert code == 0 and out and not here.server.requests


def test_check_times_the_net_that_train_folder_would_train(publish, trained, run_main, squeezenet):
    publish('squeezenet', squeezenet)
    run_main('weights', 'get', 'squeezenet')
    code, out, err = run_main('check', trained[0])
    assert code == 0, err
    assert re.search('`tinyfcn train folder --data .*`: a step takes about', out)
