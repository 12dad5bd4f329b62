"""What does not fit together is rejected before the first step, and before anything is written."""
import json

import numpy as np
import pytest
from PIL import Image
from training_samples import (
    CENTRED,
    CLASSES,
    bits,
    make_recipe,
    small_dataset,
    small_net,
    write_bright_halves,
)

import tinyfcn
from tinyfcn import build, predict
from tinyfcn.data import load_dataset
from tinyfcn.data.dataset import Dataset
from tinyfcn.training import (
    fit,
    get_recipe,
    make_optimizer,
    memory,
    requirements,
    step_memory,
)
from tinyfcn.training.requirements import require_trainable
from tinyfcn.training.run import build_net, run


def reject(folder, message, net=None, dataset=None, **changes):
    """Both fit and run raise with this message; the net is as before, and no file is written."""
    net = net or small_net()
    before = bits(net)
    dataset = dataset or small_dataset()
    recipe = make_recipe(**changes)
    with pytest.raises((ValueError, TypeError), match=message):
        fit(net, dataset, recipe)
    with pytest.raises((ValueError, TypeError), match=message):
        next(run(folder, net, dataset, small_dataset(2), recipe))
    assert bits(net) == before and not [*folder.iterdir()]


# ---- net, data set and recipe --------------------------------------------------------------------

@pytest.mark.parametrize('changes, message', [
    (dict(loss_at={'nosuch': 1}), "loss_at has 'nosuch', which is no box of this net; its outputs "
                                  "are score"),
    (dict(loss_at={'a\x1b[2J': 1}), r"loss_at has 'a\\x1b"),
    (dict(class_weight=(1, 2)), 'class_weight has 2 values, and score has scores for 3 classes'),
    (dict(rules={'*.nosuch': dict(lr=2)}), r"rule '\*.nosuch' matches none of the params"),
    (dict(preprocess=dict(order='RGB', scale=1, mean=(0,), std=(1,))),
     'preprocess has a mean of 1 values, and the net reads 3 channels')])
def test_a_recipe_that_does_not_fit_the_net_is_rejected(tmp_path, changes, message):
    reject(tmp_path, message, **changes)


def test_more_classes_than_scores_are_rejected(tmp_path):
    reject(tmp_path, 'score has scores for 3 classes, and the data set has 4; build the net with '
                     'n_class=4', dataset=small_dataset(classes=(*CLASSES, 'more')))


def test_an_output_without_classes_is_rejected(tmp_path):
    single = small_dataset()
    dataset = Dataset(dict(other=CLASSES), single.names, single.read)
    with pytest.raises(ValueError, match='the net has an output score, and the data set has '
                                         'classes for other'):
        fit(small_net(), dataset, make_recipe())


def test_a_name_in_place_of_a_data_set_is_rejected():
    with pytest.raises(TypeError, match="dataset is 'palette'; give a data set, such as "
                                        r'tinyfcn.data.load_dataset\(name, folder\)'):
        fit(small_net(), 'palette', 'folder')


def test_a_file_in_place_of_its_net_is_rejected():
    message = r"net is 'runs/my'; give a net, such as tinyfcn\.load\(path\)"
    with pytest.raises(TypeError, match=message):
        fit('runs/my', 'palette', 'folder')
    with pytest.raises(TypeError, match=message):
        predict('runs/my', 'photo.jpg')


@pytest.mark.parametrize('kwargs, message', [
    (dict(nosuch=5), 'net_kwargs is .*nosuch.*which tiny_8s does not take'),
    (dict(n_class=5), 'net_kwargs is .*which tiny_8s does not take'),
    (dict(width=-1), 'width'), (dict(dtype='int64'), 'dtype')])
def test_arguments_that_build_does_not_take_are_rejected(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build_net(make_recipe(net='tiny_8s', net_kwargs=kwargs), CLASSES)


def test_a_net_that_does_not_exist_is_rejected():
    with pytest.raises(ValueError, match="no net called 'fcn8'"):
        build_net(make_recipe(net='fcn8'), CLASSES)


# ---- sizes ---------------------------------------------------------------------------------------

SMALL = {
    'into which no window fits': (
        'unet', dict(crop_size=(1, 2)),
        'crop_size is .1, 2., which is too small for this net: a window of 3×3 does not fit .*, in '
        'conv1_1 = .*; --set crop_size=192,192 is enough'),
    'with one value for a batch norm': (
        'tiny_8s', dict(crop_size=(1, 2)),
        'crop_size is .1, 2., .*: one value for each channel has no variance, in bn2_1 = .*; --set '
        'crop_size=64,64 is enough'),
    'of any size, with one value for a batch norm': (
        'pspnet', dict(crop_size=(200, 200)), 'one value .*, in ppm/bn1 = .*; --set batch=2 is')}


@pytest.mark.parametrize('name, changes, message', SMALL.values(), ids=SMALL)
def test_crops_that_are_too_small_for_the_net_are_rejected(tmp_path, name, changes, message):
    reject(tmp_path, message, build(name, 3, width=1/32), **changes)


def test_a_batch_of_two_is_enough_for_a_batch_norm():
    recipe = make_recipe(batch=2, crop_size=(40, 40))
    assert require_trainable(build('pspnet', 3, width=1/32), small_dataset(), recipe,
                             make_optimizer(recipe))


# ---- validation ----------------------------------------------------------------------------------

def test_validation_images_that_cannot_be_predicted_are_rejected_before_the_first_step(
        tmp_path, monkeypatch):
    """A net whose scores depend on the whole image has no tiles."""
    monkeypatch.setattr(requirements, 'usable_memory', lambda net: 1e6)
    large = small_dataset(size=(300, 400), same_size=True)
    recipe = make_recipe(batch=2)
    rows = run(tmp_path, build('pspnet', 3, width=1/32), small_dataset(), large, recipe)
    with pytest.raises(ValueError, match=r'a validation image of 300×400 pixels \(rows × columns\) '
                                         r'takes \d+ MB of memory, 1 MB may be used, and '
                                         r'this net cannot predict it in tiles: .*: validate on '
                                         r'smaller images'):
        next(rows)
    assert not [*tmp_path.iterdir()]
    rows = run(tmp_path, small_net(), small_dataset(), large, recipe)       # which has tiles
    next(rows)
    rows.close()


def test_validation_images_that_are_too_small_are_rejected_before_the_first_step(tmp_path):
    rows = run(tmp_path, build('deconvnet', 3, width=1/32), small_dataset(size=(230, 230)),
               small_dataset(size=(40, 50), same_size=True), make_recipe(batch=2))
    with pytest.raises(ValueError, match=r'validation images of 40×50 pixels \(rows × columns\) '
                                         'are too small for this net: a window of 7×7 does not '
                                         'fit '):
        next(rows)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize('split, which', [('train', 'training'), ('val', 'validation')])
def test_files_that_are_missing_are_named_before_the_first_step(tmp_path, split, which):
    root = tmp_path / 'data'
    root.mkdir()
    write_bright_halves(root)
    (root / 'train.txt').write_text('00\n01\n02\n03\n')
    (root / 'val.txt').write_text('04\n05\n06\n07\n')
    data = [load_dataset('folder', root, part) for part in ('train', 'val')]
    for name in (root / f'{split}.txt').read_text().split():
        (root / 'masks' / f'{name}.png').unlink()
    message = f'4 files of the {which} set are missing: .*masks/0..png, .*, …; add what is missing'
    with pytest.raises(FileNotFoundError, match=message):
        next(run(tmp_path / 'run', small_net(), *data, make_recipe()))
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('which, name, flag', [('training', '01', ''),
                                               ('validation', '04', ' --split val')])
def test_an_image_that_cannot_be_read_is_named_before_the_first_step(tmp_path, which, name, flag):
    root = tmp_path / 'my data'
    root.mkdir()
    write_bright_halves(root)
    (root / 'train.txt').write_text('00\n01\n02\n')
    (root / 'val.txt').write_text('04\n05\n')
    Image.new('L', (20, 20)).save(root / f'masks/{name}.png')
    data = [load_dataset('folder', root, part) for part in ('train', 'val')]
    rows = run(tmp_path / 'run', small_net(), *data, make_recipe(), data=('folder', root))
    with pytest.raises(ValueError, match=f'{name}.png: 30×40 .* 20×20; .*in the {which} set; '
                                         f"`tinyfcn check '.*/my data'{flag}` lists all"):
        next(rows)
    assert not (tmp_path / 'run').exists()


def test_of_very_many_pixels_some_images_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(requirements, 'READ_PIXELS', 30 * 40 * 5)
    write_bright_halves(tmp_path)
    dataset = load_dataset('folder', tmp_path)
    read = []
    dataset.read, before = lambda name: read.append(name) or before(name), dataset.read
    requirements.require_readable(dataset, 'training', print)
    assert read == ['00', '05', '10', '15']


def test_masks_of_0_and_255_are_noted(tmp_path):
    root = tmp_path / 'data'
    root.mkdir()
    write_bright_halves(root)
    for path in (root / 'masks').iterdir():
        Image.fromarray(255 * np.array(Image.open(path))).save(path)
    notes = []
    dataset = load_dataset('folder', root)
    rows = run(tmp_path / 'run', small_net(), dataset, dataset.subset(['00']), make_recipe(),
               log=notes.append)
    next(rows)
    rows.close()
    assert [note for note in notes if 'the masks hold only 0 and 255, and 255 is void' in note]
    assert len(notes) == 2                              # of the common image


def test_a_run_below_images_of_labelme_is_no_label(tmp_path):
    shape = dict(label='leaf', points=[[1, 1], [6, 1], [6, 6]], shape_type='polygon')
    for i in range(30):                                 # more than are looked at, for the format
        Image.new('RGB', (12, 9)).save(tmp_path / f'{i}.png')
        (tmp_path / f'{i}.json').write_text(json.dumps(dict(
            shapes=[shape], imagePath=f'{i}.png', imageHeight=9, imageWidth=12)))
    dataset = load_dataset('folder', tmp_path)
    recipe = make_recipe(steps=1)
    [*run(tmp_path / 'run', small_net(), dataset, dataset, recipe)]
    assert load_dataset('folder', tmp_path).names == dataset.names


def test_a_run_is_not_kept_among_its_images(tmp_path):
    write_bright_halves(tmp_path)
    dataset = load_dataset('folder', tmp_path)
    for folder in 'images', 'masks':
        before = sorted((tmp_path / folder).iterdir())
        with pytest.raises(ValueError, match='choose another folder with --run'):
            next(run(tmp_path / folder, small_net(), dataset, dataset, make_recipe()))
        assert sorted((tmp_path / folder).iterdir()) == before


def test_images_to_train_and_to_validate_on_are_noted(tmp_path):
    root = tmp_path / 'data'
    root.mkdir()
    write_bright_halves(root)
    (root / 'train.txt').write_text('00\n01\n02\n03\n')
    (root / 'val.txt').write_text('02\n03\n04\n')
    notes = []
    rows = run(tmp_path / 'run', small_net(), load_dataset('folder', root, 'train'),
               load_dataset('folder', root, 'val'), make_recipe(), log=notes.append)
    next(rows)
    rows.close()
    assert notes == ['02, 03 are in train and in val: remove them from one of them; a score on '
                     'images that a net was trained on says nothing of others']


# ---- memory --------------------------------------------------------------------------------------

def photos(root, height=3024, width=4032):
    """A user's folder with one large photo, which no test reads."""
    (root / 'images').mkdir()
    (root / 'masks').mkdir()
    (root / 'classes.txt').write_text('sky\ntree\n')
    Image.new('RGB', (width, height)).save(root / 'images/a.jpg')
    Image.new('L', (width, height)).save(root / 'masks/a.png')
    return load_dataset('folder', root)


def test_a_step_that_does_not_fit_the_memory_is_rejected(tmp_path, monkeypatch):
    (tmp_path / 'data').mkdir()
    dataset = photos(tmp_path / 'data')
    monkeypatch.setattr(memory, 'available_memory', lambda x: 4 * 10**9)
    recipe = get_recipe('folder', crop_size=None, scale_range=None)
    with pytest.raises(ValueError, match=r'a step on images of 3024×4032 pixels \(rows × '
                                         r'columns\) takes about 2\d.\d GB of memory, and 4.0 '
                                         r'GB are available: --set crop_size=512,512 trains on '
                                         r'crops'):
        next(run(tmp_path / 'run', build_net(recipe, dataset.classes), dataset, dataset, recipe))
    assert not (tmp_path / 'run').exists()
    monkeypatch.setattr(memory, 'available_memory', lambda x: 0)
    with pytest.raises(ValueError, match='smaller images, batch or iter_size, or a smaller net'):
        fit(build('tiny_8s', 2), dataset, recipe)


@pytest.mark.parametrize('name', ['folder', 'folder-squeezenet', 'folder-unet'])
def test_a_photo_fits_into_4_gigabytes_by_the_recipes_for_a_folder(tmp_path, name):
    dataset = photos(tmp_path)
    recipe = get_recipe(name)
    net = build(recipe.net, 2, seed=None)
    needed = step_memory(net, recipe, dataset)
    assert needed < 2.5e9 < step_memory(net, get_recipe(name, crop_size=None), dataset)
    memory.require_memory(net, recipe, dataset)


def test_memory_grows_with_what_a_step_holds():
    net = build('tiny_8s', 5)
    shapes = load_dataset('shapes')
    base = step_memory(net, get_recipe('shapes-8s'), shapes)
    for changes in dict(batch=8), dict(iter_size=2), dict(scale_range=(.5, 2.)):
        assert step_memory(net, get_recipe('shapes-8s', **changes), shapes) > base
    for changes in dict(batch=1), dict(crop_size=(32, 32)), dict(optimizer='sgd'):
        assert step_memory(net, get_recipe('shapes-8s', **changes), shapes) < base
    assert step_memory(net, get_recipe('shapes-8s', crop_size=(999, 999)), shapes) == base


@pytest.mark.parametrize('changes', [dict(iter_size=10**12), dict(batch=10**12),
                                     dict(scale_range=(1, 3000))])
def test_a_step_that_no_machine_can_hold_is_rejected(changes):
    with pytest.raises(ValueError, match='GB of memory, and .* are available'):
        fit(small_net(), small_dataset(), make_recipe(**changes))


def test_a_file_that_cannot_be_read_is_left_for_training_to_report(tmp_path):
    dataset = photos(tmp_path, 30, 40)
    (tmp_path / 'images/a.jpg').write_bytes(b'')
    assert memory.largest_size(dataset) == (0, 0)
    with pytest.raises(ValueError, match='a.jpg: not an image'):
        fit(build('unet', 2, width=1/8), dataset, get_recipe('folder'))


# ---- fit -----------------------------------------------------------------------------------------

def test_fit_reports_every_row():
    rows = []
    assert fit(small_net(), small_dataset(), make_recipe(), report=rows.append) == rows
    assert len(rows) == 5


def test_a_net_that_fit_has_trained_knows_its_classes_and_preprocess(tmp_path):
    net = build('tiny_8s', 3, width=1/8)
    fit(net, small_dataset(size=(32, 32)), make_recipe(steps=1))
    net.save(tmp_path / 'net.safetensors')
    about = tinyfcn.load(tmp_path / 'net.safetensors').about
    assert about['classes'] == [*CLASSES]
    assert about['preprocess'] == {key: [*value] if isinstance(value, tuple) else value
                                   for key, value in CENTRED.items()}
    image = np.zeros((32, 32, 3), 'uint8')
    assert tinyfcn.predict(tinyfcn.load(tmp_path / 'net.safetensors'), image).shape == (32, 32)
