"""Notebooks to hand out: the lessons without their solutions and answers, and these apart.

    python lessons/handout.py FOLDER            all lessons
    python lessons/handout.py FOLDER 03 09      these two

Writes a notebook of each lesson into FOLDER/notebooks, and FOLDER/answers.md for yourself.
"""
import re
import sys
from pathlib import Path

import nbformat
from course import find_scripts

# what a reader unfolds: <details><summary>Solution</summary> … </details>
FOLDED = re.compile(r'<details>\s*<summary>(.*?)</summary>(.*?)</details>', re.S)


def take_out_answers(nb):
    """Remove the folded texts from a notebook, which is changed in place. -> list of them"""
    answers = []
    for cell in nb.cells:
        if cell.cell_type == 'markdown':
            folded = FOLDED.findall(cell.source)
            answers += [f'**{title}.** {text.strip()}' for title, text in folded]
            cell.source = FOLDED.sub('', cell.source).strip('\n')
    nb.cells = [cell for cell in nb.cells if cell.source]
    return answers


def write_handout(folder, numbers=()):
    """Write the notebooks and the answers of these lessons, or of all."""
    notebooks = folder / 'notebooks'
    notebooks.mkdir(parents=True, exist_ok=True)
    page = ['# Answers']
    for script in find_scripts(numbers):
        path = script.with_suffix('.ipynb')
        nb = nbformat.read(path, as_version=4)
        page.append(f'#{nb.cells[0].source.splitlines()[0]}')       # ## 03. A window …
        page += take_out_answers(nb)
        nbformat.write(nb, notebooks / path.name)
    (folder / 'answers.md').write_text('\n\n'.join(page) + '\n', 'utf-8')


def main(arguments):
    """-> exit status"""
    if not arguments:
        print('name a folder: python lessons/handout.py FOLDER [LESSON …]', file=sys.stderr)
        return 2
    folder, *numbers = arguments
    try:
        write_handout(Path(folder), numbers)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f'{folder}/notebooks is for students, {folder}/answers.md for you')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
