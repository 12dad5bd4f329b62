"""A folder of one's own: names as people give them, layouts of other tools, files that are odd."""
import os
import subprocess
import sys

import numpy as np
import pytest
from bad_input_samples import LABEL, NAMES, RGB, save, write_dataset

from tinyfcn.data import load_dataset
from tinyfcn.data.check import find_problems
from tinyfcn.data.dataset import hold_out
from tinyfcn.data.folder import folder, unused_labels
from tinyfcn.data.lists import read_list
from tinyfcn.data.manifest import verify_manifest, write_manifest


@pytest.fixture
def own(tmp_path):
    root = tmp_path / 'my'
    write_dataset(root)
    return root


# ---- lists ---------------------------------------------------------------------------------------

def test_a_list_of_validation_alone_leaves_the_rest_to_train_on(own):
    (own / 'val.txt').write_text('two\n')
    assert folder(own, 'val').names == ['two']
    assert folder(own, 'train').names == ['one', 'three']
    (own / 'test.txt').write_text('one.jpg\n')
    assert folder(own, 'train').names == ['three']
    assert len(folder(own)) == 3                        # without a split, all
    with pytest.raises(FileNotFoundError, match=r'trainval\.txt: no such list; .* test\.txt, val'):
        folder(own, 'trainval')


def test_lists_that_leave_nothing_to_train_on(own):
    (own / 'val.txt').write_text('\n'.join(NAMES))
    with pytest.raises(ValueError, match=r'my: val\.txt names all 3 images, so none is left to '
                                         r'train on; write train\.txt, or a shorter list'):
        folder(own, 'train')


def test_names_in_lists_may_have_their_suffix(own):
    save(own / 'images/four.jpg.png', RGB)
    save(own / 'masks/four.jpg.png', LABEL)
    (own / 'train.txt').write_text('one.jpg\ntwo.JPG\nthree\nfour.jpg\n')
    dataset = folder(own, 'train')
    assert dataset.names == ['one', 'two', 'three', 'four.jpg']
    assert not [*find_problems(dataset, {})]
    (own / 'val.txt').write_text('missing.jpg\n')
    problem, = find_problems(folder(own, 'val'), {})
    assert 'masks/missing.png: no such file' in problem


def test_dots_alone_do_not_make_a_path(own):
    (own / 'list.txt').write_text('a..b\n')
    assert read_list(own / 'list.txt') == ['a..b']


def test_a_name_too_long_for_a_file(own):
    (own / 'train.txt').write_text(f'one\n{"x" * 5000}\n')
    with pytest.raises(ValueError, match=r'train\.txt, line 2: a name of 5,000 bytes; a file has') \
            as error:
        folder(own, 'train')
    assert len(str(error.value)) < 500
    with pytest.raises(FileNotFoundError, match=r'no such list'):
        folder(own, 'y' * 5000)
    (own / 'train.txt').write_text('x' * 255)           # with .png it is too long
    problem, = find_problems(folder(own, 'train'), {})
    assert 'no such file' in problem


# ---- names of masks ------------------------------------------------------------------------------

@pytest.mark.parametrize('ending', ['_mask', '-mask', '_label', '-label', '_Mask'])
def test_a_mask_may_have_the_name_of_its_image_with_an_ending(own, ending):
    for name in NAMES:
        (own / f'masks/{name}.png').rename(own / f'masks/{name}{ending}.png')
    dataset = folder(own)
    assert not [*find_problems(dataset, {})] and not unused_labels(own)
    assert dataset.files('one')[1] == own / f'masks/one{ending}.png'


def test_a_name_without_ending_comes_first(own):
    save(own / 'masks/one_mask.png', LABEL * 0)
    np.testing.assert_array_equal(folder(own)[2][1], LABEL)
    assert unused_labels(own) == [own / 'masks/one_mask.png']
    (own / 'masks/one.png').rename(own / 'masks/one_label.png')
    with pytest.raises(ValueError, match=r'masks/one_label\.png and one_mask\.png: two masks of '
                                         r'one image; remove one of them'):
        folder(own)


# ---- folders without labels that are known ------------------------------------------------------

def test_images_without_labels_are_named_with_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r'no images in it \(\.jpg, .*\); known are images/ and'):
        folder(tmp_path)
    with pytest.raises(ValueError, match='gone: no such folder; .* is empty'):
        folder(tmp_path / 'gone')
    save(tmp_path / 'a.jpg', RGB)
    with pytest.raises(ValueError, match=r'images in the folder itself, and no labels.*Label the') \
            as error:
        folder(tmp_path)
    assert str(error.value).startswith(f'{tmp_path}: ') and '\n' not in str(error.value)
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels/a.txt').write_text('0 .1 .1 .2 .2 .1 .2')
    with pytest.raises(ValueError, match='text files, as YOLO writes them; export the labels as C'):
        folder(tmp_path)
    (tmp_path / 'labels/a.txt').rename(tmp_path / 'labels/a.xml')
    (tmp_path / 'labels/a.xml').write_text('<annotation><object>')
    with pytest.raises(ValueError, match='boxes, as those of VOC; .* draw outlines or masks'):
        folder(tmp_path)
    (tmp_path / 'labels/a.xml').unlink()
    save(tmp_path / 'one/a.jpg', RGB)
    save(tmp_path / 'other/b.png', LABEL)
    with pytest.raises(ValueError, match=r'the folder itself, one/, other/; which of them are mask'
                                         r's cannot be told .* --images FOLDER --masks FOLDER'):
        folder(tmp_path)


def test_a_published_data_set_that_was_not_fetched(tmp_path):
    with pytest.raises(ValueError, match=r'stanford is not in .*: `tinyfcn data stanford` downloa'
                                         r'ds it; .* folder that holds images, labels \(--data'):
        load_dataset('stanford', tmp_path)
    with pytest.raises(ValueError, match='`tinyfcn data voc2012` downloads it'):
        load_dataset('voc_animals', tmp_path / 'nowhere')
    with pytest.raises(ValueError, match='`tinyfcn data nyud` downloads it'):
        load_dataset('nyud_rgb_hha', tmp_path)


# ---- classes -------------------------------------------------------------------------------------

@pytest.mark.parametrize('character', ['\x1b', '\x85', '\t', '\u202e', '\u2028', '\x7f'])
def test_a_class_that_cannot_be_drawn_is_refused(own, character):
    (own / 'classes.txt').write_text(f'sky\nroad{character}sign\n')
    with pytest.raises(ValueError, match=r'classes\.txt, line 2: .*control character') as error:
        folder(own)
    assert str(error.value).isprintable()


def test_classes_in_any_script_are_read(own):
    names = 'Straße', 'شهر\u200cها', '天空\u3000雲', '🚗', 'a\xa0b'
    (own / 'classes.txt').write_text('\n'.join(names), 'utf-8')
    assert folder(own).classes == names


# ---- files that are no files, and names that are no text -----------------------------------------

@pytest.mark.parametrize('place', ['images/two.jpg', 'masks/two.png', 'train.txt', 'classes.txt',
                                   'val.txt', 'manifest.sha256'])
def test_a_pipe_never_blocks(own, place):
    (own / place).unlink(missing_ok=True)
    os.mkfifo(own / place)
    with pytest.raises(ValueError, match=f'{place}: a pipe or a device, not a file'):
        dataset = folder(own, 'train')
        problems = [*find_problems(dataset, {})]
        raise ValueError(problems or [*verify_manifest(dataset, own / 'manifest.sha256')])


@pytest.mark.parametrize('name, label', [
    ('stanford', 'labels/one.regions.txt'), ('sbd', 'cls/one.mat')])
def test_a_pipe_as_the_label_of_a_published_set(tmp_path, name, label):
    for path in 'images/one.jpg', 'img/one.jpg':
        save(tmp_path / path, RGB)
    (tmp_path / label).parent.mkdir()
    os.mkfifo(tmp_path / label)
    (tmp_path / 'train.txt').write_text('one\n')
    with pytest.raises(ValueError, match='a pipe or a device, not a file'):
        load_dataset(name, tmp_path)[0]


PROGRAM = '''
import sys
from tinyfcn.data.images import is_transparent, read_image, read_label
for read in is_transparent, read_image, read_label:
    try:
        read(sys.argv[1])
    except ValueError as error:
        print(error)
'''


def test_no_program_is_started_to_read_an_image(tmp_path):
    """A .png that is PostScript would run Ghostscript."""
    (tmp_path / 'gs').write_text(f'#!/bin/sh\ntouch {tmp_path}/ran\n')
    (tmp_path / 'gs').chmod(0o755)
    (tmp_path / 'x.png').write_text('%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n')
    path = f'{tmp_path}:{os.environ["PATH"]}'
    result = subprocess.run([sys.executable, '-c', PROGRAM, tmp_path / 'x.png'],
                            env={**os.environ, 'PATH': path}, capture_output=True, text=True)
    assert result.stdout.count("not an image: it begins with b'%!ps-ado'") == 3, result.stderr
    assert not (tmp_path / 'ran').exists()


ODD_NAMES = [b'two\nlines', b'two\r', b'back\\slash', b'latin-\xe4', b'\x1b[2J',
             b'bidi\xe2\x80\xae', b' spaces ', b'n' * 250]


def rename_one(own, name):
    """Give image and mask `one` another name, of any bytes."""
    try:
        for place, suffix in ('images', b'.jpg'), ('masks', b'.png'):
            os.rename(own / place / f'one{suffix.decode()}',
                      os.path.join(os.fsencode(own / place), name + suffix))
    except OSError:
        pytest.skip('the file system refuses this name')
    return os.fsdecode(name)


@pytest.mark.parametrize('name', ODD_NAMES)
def test_odd_names_are_read_and_shown_printable(own, name):
    name = rename_one(own, name)
    save(own / 'masks/orphan.png', LABEL)
    dataset = folder(own)
    assert name in dataset.names and not [*find_problems(dataset, {})]
    names = [f'{i}' for i in range(40)]
    rest, held_out = hold_out(dataset.subset([name, *names]))
    assert name in rest.names or name in held_out.names
    dataset.files(name)[1].write_bytes(b'')
    problem, = find_problems(dataset, {})
    assert problem.isprintable() and 'the file is empty' in problem


@pytest.mark.parametrize('name', ODD_NAMES)
def test_a_manifest_of_odd_names(own, name):
    name = rename_one(own, name)
    dataset = folder(own)
    write_manifest(dataset, own / 'manifest.sha256')
    assert not [*verify_manifest(dataset, own / 'manifest.sha256')]
    dataset.files(name)[1].write_bytes(b'')
    problem, = verify_manifest(dataset, own / 'manifest.sha256')
    assert 'changed since' in problem and problem.isprintable()


def test_sha256sum_reads_a_manifest_of_odd_names(own):
    rename_one(own, b'two\nlines\\')
    write_manifest(folder(own), own / 'manifest.sha256')
    try:
        subprocess.run(['sha256sum', '--check', '--quiet', '--strict', 'manifest.sha256'],
                       check=True, cwd=own)
    except FileNotFoundError:
        pytest.skip('there is no sha256sum')


def test_a_manifest_that_an_editor_saved(own):
    path = own / 'manifest.sha256'
    write_manifest(folder(own), path)
    lines = path.read_text().replace('  ', ' *').splitlines()
    path.write_bytes(b'\xef\xbb\xbf' + '\r\n\r\n'.join(lines).encode())
    assert not [*verify_manifest(folder(own), path)]
