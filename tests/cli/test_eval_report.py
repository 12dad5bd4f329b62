"""tinyfcn eval --report: the page has the numbers that are printed, and what was said of them."""
import json
import re
from base64 import b64decode

import pytest

from tinyfcn import evaluate, load, load_dataset


def numbers_of(path):
    """What the page offers as a download."""
    uri = re.search('href="data:application/json;base64,([^"]*)"', path.read_text('utf-8'))
    return json.loads(b64decode(uri.group(1)))['score']


def test_the_page_has_the_numbers_that_are_printed(trained, run_main, tmp_path):
    root, run = trained
    page = tmp_path / 'new folder/page.html'
    args = ['eval', run, root, '--split', 'train', '--scales', '1', '1.5', '--flip']
    code, out, err = run_main(*args, '--report', page)
    assert code == 0, err
    numbers = numbers_of(page)
    shares = ', '.join(f'{name} {100 * cause["share"]:.1f} %'
                       for name, cause in numbers['causes'].items())
    assert out.endswith(f'\nerrors: {shares}\na page about them: {page}\n')
    scores = numbers['scores']
    printed = out.splitlines()[2].split()[-4:]
    assert printed == [f'{100 * scores[name]:.1f}'
                       for name in ('pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu')]
    again = evaluate(load(run), load_dataset('folder', root, 'train'), scales=[1, 1.5], flip=True)
    assert [*again.pop('iu')] == pytest.approx(scores.pop('iu'), abs=0, nan_ok=True)
    assert again == scores
    text = page.read_text('utf-8')
    assert f'<h1>How well {run} segments the split train of {root}</h1>' in text
    assert re.search(r'>tiny_8s, [\d,]+ parameters, scales 1 1.5, flip</p>', text)
    note = re.search('<p class="note">(.*)</p>', text).group(1)
    assert note in out and 'were trained on' in note
    assert run_main(*args[:3], '--report', page)[0] == 0            # it is its own


def test_only_reports_are_replaced_before_anything_is_predicted(trained, run_main, tmp_path):
    root, run = trained
    page = tmp_path / 'page.html'
    page.write_text('<!doctype html>by hand')
    code, out, err = run_main('eval', run, root, '--report', page)
    assert code == 2 and not out and f'{page}: exists' in err and '--overwrite' in err
    assert page.read_text() == '<!doctype html>by hand'
    code, out, err = run_main('eval', run, root, '--report', tmp_path / 'page.pdf')
    assert code == 2 and not out and 'give the file the ending .html' in err
    assert run_main('eval', run, root, '--report', page, '--overwrite')[0] == 0
    assert numbers_of(page)['images']
