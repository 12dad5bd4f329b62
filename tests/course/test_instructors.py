"""The page for teachers says what is true, and handouts have no solutions."""
import re
from pathlib import Path

import pytest

from tinyfcn.course.contents import EXERCISES_OF
from tinyfcn.course.exercises.checker import EXERCISES

FOLDER = Path(__file__).parents[2] / 'lessons'
PAGE = (FOLDER / 'instructors.md').read_text('utf-8')


def minutes(number):
    path, = FOLDER.glob(f'l{number}_*.py')
    return int(re.search(r'^# \*About (\d+) minutes', path.read_text('utf-8'), re.M)[1])


def test_the_plans_fit_their_time():
    afternoon = re.search(r'lessons ([\d, and]+), about (\d)\shours', PAGE)
    numbers = re.findall(r'\d\d', afternoon[1])
    assert round(sum(map(minutes, numbers)) / 60) == int(afternoon[2])
    weeks = re.findall(r'^\| \d \| ([\d, ]+) \|', PAGE, re.M)
    assert [number for week in weeks for number in week.split(', ')] == [
        f'{i:02}' for i in range(16)]
    for week in weeks:
        assert 90 <= sum(map(minutes, week.split(', '))) <= 210, week


def test_it_explains_every_exercise_once():
    rows = re.findall(r'^\| ([\d, ]+) \| `(\w+)` \|', PAGE, re.M)
    names = [name for in_lesson in EXERCISES_OF.values() for name in in_lesson]
    assert [name for _, name in rows] == [*dict.fromkeys(names)]
    for lessons, name in rows:
        assert lessons.split(', ') == [n for n, names in EXERCISES_OF.items() if name in names]


def test_the_number_of_known_mistakes_is_no_exaggeration():
    claimed = int(re.search(r'more than (\d+) mistakes', PAGE)[1])
    known = sum(len(exercise.mistakes) for exercise in EXERCISES.values())
    assert claimed < known <= claimed + 40


@pytest.mark.lessons
def test_a_handout_has_no_solutions(course, tmp_path):
    import handout

    nbformat = course.nbformat
    assert handout.main([str(tmp_path), '03', '07']) == 0
    answers = (tmp_path / 'answers.md').read_text('utf-8')
    for stem in 'l03_im2col', 'l07_pooling':
        nb = nbformat.read(tmp_path / f'notebooks/{stem}.ipynb', as_version=4)
        nbformat.validate(nb)
        whole = nbformat.read(FOLDER / f'{stem}.ipynb', as_version=4)
        text = '\n'.join(cell.source for cell in nb.cells if cell.cell_type == 'markdown')
        assert '<details>' not in text and '## Three questions' in text
        folded = re.findall(r'<details>.*?</summary>(.*?)</details>',
                            '\n'.join(cell.source for cell in whole.cells), re.S)
        assert len(folded) >= 4 and all(each.strip() in answers for each in folded)
        assert not any(each.strip() in text for each in folded)
    assert handout.main([]) == 2 and handout.main([str(tmp_path), '77']) == 2
