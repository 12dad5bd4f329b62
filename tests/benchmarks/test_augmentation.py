"""docs/augmentation.md: it shows what benchmarks/augmentation.py measured, and the recipe."""
import json
import re
import sys
from pathlib import Path

import pytest

from tinyfcn.training import get_recipe

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / 'benchmarks'))
with pytest.MonkeyPatch.context() as patch:             # benchmarks use two threads; tests use one
    patch.setenv('TINYFCN_THREADS', '1')
    import augmentation
    from timing import RESULTS

PAGE = (ROOT / 'docs/augmentation.md').read_text('utf-8')
# of the columns key, folder and ms
TABLE = dict((key, (value, ms)) for key, value, ms in re.findall(
    r'^\| `(\w+)` \|.*\| `([^`]*)` \| ([\d.]*) ?\|$', PAGE, re.M))


def test_the_page_has_the_keys_and_what_recipe_folder_does():
    shown = {key: value for key, (value, _) in TABLE.items()}
    assert shown == {key: re.sub(r'\b0\.', '.', repr(value)).replace('10.0', '10')
                     for key, value in augmentation.folder_changes().items()}
    squeezenet = get_recipe('folder-squeezenet')
    for key, value in augmentation.folder_changes().items():
        assert getattr(squeezenet, key) == value or key == 'crop_size'


def test_the_page_shows_the_results_that_are_stored():
    rows = json.loads((RESULTS / 'augmentation.json').read_text('utf-8'))['rows']
    times = {row['name']: f'{row["ms"]:.1f}' for row in rows}
    assert {key: ms for key, (_, ms) in TABLE.items() if ms} == {
        key: times[key] for key in augmentation.KEYS}
    text = ' '.join(PAGE.split())
    assert (f'{times["folder"]} ms, and {times["folder, 12 megapixels"]} ms with a photo of twelve '
            f'megapixels') in text


def test_each_change_is_measured():
    names = [*augmentation.KEYS, 'folder', 'folder, 12 megapixels']
    rows = augmentation.measure(rounds=1)
    assert [row['name'] for row in rows] == names and all(row['ms'] > 0 for row in rows)
