"""Grade notebooks of the course: which exercises are correct.

    python -m tinyfcn.course.grade anna/l03_im2col.ipynb ben/l03_im2col.ipynb

    __main__    the command, which prints a table
    grading     the grades of a notebook: the only place that decides
    notebook    the cells of a notebook, its lesson, the names of its functions; nothing is run
    process     a process of its own for a notebook, with limits, and calls into it
    student     what runs in that process: the notebook, then the calls
    codec       arguments and results as lines of JSON

A notebook is not trusted. Its code runs in a process of its own, which gets the arguments of each
case and answers with what its function returns. The comparison happens here, where no code of the
notebook runs: to overwrite check() changes nothing.
"""
from .grading import Grade, grade_notebook

__all__ = ['Grade', 'grade_notebook']
