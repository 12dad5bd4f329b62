"""tinyfcn check and data: splits that overlap, masks without images, what a step takes."""
import os
import re
import tarfile

import numpy as np
import pytest
from bad_input_samples import LABEL, RGB, save, write_dataset
from PIL import Image

from tinyfcn.cli import check as check_command, main
from tinyfcn.cli.paths import train_val_sets
from tinyfcn.fetch import progress
from tinyfcn.training import get_recipe, memory


@pytest.fixture
def my(tmp_path):
    write_dataset(tmp_path / 'my')
    return tmp_path / 'my'


def check(capsys, *args):
    code = main(['check', *map(str, args)])
    out, err = capsys.readouterr()
    return code, out, err


def test_an_image_in_two_lists_is_a_problem(my, capsys):
    (my / 'train.txt').write_text('one\ntwo\n')
    (my / 'val.txt').write_text('two\nthree\n')
    code, out, err = check(capsys, my)
    assert code == 2 and '1 problem in 2 images' in err
    assert '  two is in train and in val: remove it from one of them' in out
    code, out, _ = check(capsys, my, '--split', 'val')
    assert code == 2 and 'two is in val and in train' in out


def test_a_list_of_validation_alone_overlaps_with_nothing(my, capsys):
    (my / 'val.txt').write_text('two\n')
    code, out, _ = check(capsys, my)
    assert code == 0 and '2 images, of 40×56 pixels' in out


def test_a_list_that_cannot_be_read_is_a_problem_of_every_split(my, capsys):
    (my / 'train.txt').write_text('one\n')
    (my / 'val.txt').write_bytes(b'tw\xf6\n')
    os.mkfifo(my / 'test.txt')
    code, out, err = check(capsys, my)
    assert code == 2 and '2 problems in 1 image' in err
    assert 'val.txt, line 1: ' in out and 'test.txt: a pipe or a device' in out


def test_a_training_takes_what_the_list_of_validation_does_not_name(my):
    (my / 'val.txt').write_text('two.jpg\n')
    train, valid = train_val_sets(get_recipe('folder'), my)
    assert train.names == ['one', 'three'] and valid.names == ['two']


def test_no_shares_are_printed_where_no_mask_can_be_read(my, capsys):
    for mask in (my / 'masks').iterdir():
        mask.write_bytes(b'')
    code, out, err = check(capsys, my)
    assert code == 2 and 'the file is empty' in out
    assert 'void' not in out and '0.00%' not in out


def test_a_class_without_pixels_is_named_once(my, capsys):
    names = (my / 'classes.txt').read_text().split()
    (my / 'classes.txt').write_text('\n'.join([*names, 'sea', 'cat']))
    _, out, _ = check(capsys, my)
    shares = out.partition('shares: ')[2]
    assert [line.split()[0] for line in shares.splitlines() if line.startswith('  ')] == names
    assert '\nno pixel is sea, cat\n' in shares and out.count('sea') == out.count('cat') == 1


def test_the_command_to_train_can_be_pasted(my, capsys):
    root = my.rename(my.with_name('my photos'))
    assert f"`tinyfcn train folder --data '{root}'`" in check(capsys, root)[1]


def test_a_mask_without_its_image_is_a_problem(my, capsys):
    save(my / 'masks/four.png', LABEL)
    save(my / 'masks/five\x1b.png', LABEL)
    code, out, err = check(capsys, my)
    assert code == 2 and '1 problem in' in err
    assert re.search(r'masks/five\\x1b\.png: no image of this name in .*images; .* 1 more: '
                     r'.*masks/four\.png', out)


def test_twenty_equal_problems_are_one_line(my, capsys):
    for i in range(20):
        save(my / f'images/{i}.jpg', RGB)
        save(my / f'masks/{i}.png', RGB)
    code, out, err = check(capsys, my)
    assert code == 2 and '1 problem in 23 images' in err
    assert out.count('pixels are colours') == 1 and 'The same of 19 more' in out


def test_the_cost_of_a_step_is_said(my, capsys):
    save(my / 'images/one.jpg', np.tile(RGB, (4, 4, 1)))
    save(my / 'masks/one.png', np.tile(LABEL, (4, 4)))
    code, out, _ = check(capsys, my)
    assert code == 0
    found = re.search(r'`tinyfcn train folder --data \S+my`: a step takes about ([\d.]+) s and '
                      r'([\d.]+) GB of memory, ([\d,]+) steps about (.*)', out)
    assert found and 0 < float(found[1]) < 100 and 0 < float(found[2]) < 10


def test_a_step_that_does_not_fit_is_said(my, capsys, monkeypatch):
    """Nothing is computed then."""
    monkeypatch.setattr(memory, 'available_memory', lambda array: 1000)
    monkeypatch.setattr(check_command, 'step_seconds', None)
    code, out, _ = check(capsys, my)
    assert code == 0 and re.search(r'`tinyfcn train folder --data \S+my`: a step on images of '
                                   r'53×74 pixels \(rows × columns\) takes about .* GB of memory, '
                                   r'and 0\.0 GB', out)


def test_nothing_is_said_of_steps_where_there_are_problems(my, capsys):
    Image.fromarray(LABEL * 0 + 9).save(my / 'masks/one.png')
    code, out, _ = check(capsys, my)
    assert code == 2 and 'a step takes' not in out


def test_a_download_shows_lines_in_a_log(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, 'LINE_SECONDS', 0)
    monkeypatch.chdir(tmp_path)
    for folder, suffix in ('images', 'jpg'), ('labels', 'png'):
        save(tmp_path / f'set/{folder}/a.{suffix}', LABEL * 0)
    with tarfile.open('set.tar', 'w') as archive:
        archive.add('set')
    assert main(['data', 'stanford', '--from', 'set.tar']) == 0
    assert re.search(r'  0 of 0 MB, set\.tar', capsys.readouterr().err)


def test_a_folder_with_the_name_of_a_data_set(my, capsys, monkeypatch):
    my.rename(my.with_name('camvid'))
    monkeypatch.chdir(my.parent)
    code, _, err = check(capsys, 'camvid', '--split', 'val')
    assert code == 2
    assert 'camvid: the name of a data set that is not in data, and of a folder; for the folder ' \
           'write ./camvid' in err
    (my.with_name('camvid') / 'val.txt').write_text('two\n')
    code, out, _ = check(capsys, './camvid', '--split', 'val')
    assert code == 0 and 'camvid: 3 images in images/, masks of class numbers in masks/' in out
    code, _, err = check(capsys, 'camvid/val.txt')
    assert code == 2 and 'camvid/val.txt: a file; name the folder that it is in' in err
