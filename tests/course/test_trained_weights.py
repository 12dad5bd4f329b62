"""Lessons 11 and 15 with trained weights in the cache: what a student sees then.

Without weights they are run by test_lessons.py.
"""
import hashlib
import os
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.cbook import get_sample_data
from PIL import Image
from published import random_net

from tinyfcn import pretrained
from tinyfcn.data import voc
from tinyfcn.fetch.source import Source
from tinyfcn.prediction.classify import classify
from tinyfcn.weights import sources
from tinyfcn.weights.cache import fetch_weights

FOLDER = Path(__file__).parents[2] / 'lessons'
DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))
GOOGLENET = DATA / 'weights/googlenet_bvlc_oihw_fp32.npz'
needs_data = pytest.mark.skipif(not DATA.is_dir(),
                                reason='TINYFCN_DATA does not name a folder of real data')


@pytest.fixture
def run_lesson(course, tmp_path, monkeypatch):
    """run_lesson(number, name, file, wanted): its cells, with a file as the weights of a name.

    wanted(text) says which of its code cells are run. -> (all that they print, [image])
    """
    monkeypatch.setenv('TINYFCN_CACHE', str(tmp_path / 'cache'))

    def run(number, name, file, wanted=lambda text: True):
        source = Source(file.name, [], hashlib.sha256(file.read_bytes()).hexdigest())
        monkeypatch.setitem(sources.SOURCES, name,
                            sources.SOURCES[name]._replace(files=[source]))
        fetch_weights(name, file)
        # a notebook runs in a process of its own
        patch = (f'from tinyfcn.fetch.source import Source\n'
                 f'from tinyfcn.weights.sources import SOURCES\n'
                 f'SOURCES[{name!r}] = SOURCES[{name!r}]._replace(files=[{source!r}])')
        [path] = course.find_scripts([number])
        cells = [(kind, text) for kind, text in course.read_cells(path)
                 if kind != 'markdown' and wanted(text)]
        nb = course.new_notebook([('code', patch), *cells])
        course.execute(nb, FOLDER, tmp_path / 'cache')
        outputs = [output for cell in nb.cells for output in cell.outputs]
        images = [Image.open(BytesIO(b64decode(output.data['image/png'])))
                  for output in outputs if 'image/png' in output.get('data', {})]
        return ''.join(output.get('text', '') for output in outputs), images
    return run


def mean_colour(image, left, top, right, bottom):
    """Of a part of an image, given in shares of its width and height."""
    w, h = image.size
    part = image.convert('RGB').crop((int(left * w), int(top * h), int(right * w), int(bottom * h)))
    return np.asarray(part).mean((0, 1))


@pytest.mark.realdata
@needs_data
def test_googlenet_finds_the_tie_and_the_cap(run_lesson):
    """The portrait that comes with matplotlib: its classes, where they are, and its windows."""
    text, images = run_lesson('11', 'googlenet', GOOGLENET)
    assert "GoogLeNet's weights are not here yet" not in text
    assert '600×512 pixels, a map of 12×10 scores for each class\n  80 %  Windsor tie\n' in text
    assert 'receptive field of a cell: 907 pixels\n30 windows of 224×224: scores differ by' in text
    assert 'rounding only' not in text.rpartition('receptive field of a cell')[2]
    portrait = get_sample_data('grace_hopper.jpg', asfileobj=False)
    assert classify(pretrained('googlenet'), portrait)[0].name == 'academic gown'

    drawn = images[-2]                      # the photo, the scores of the tie, the best classes
    # the heat map is light at the tie, and dark at the eyes
    assert mean_colour(drawn, .46, .5, .52, .6)[0] > mean_colour(drawn, .46, .25, .52, .32)[0] + 50
    # the best class is blue, the first colour, at the tie, and orange, the second, below the cap
    red, _, blue = mean_colour(drawn, .8, .4, .84, .5)
    assert blue > red
    red, _, blue = mean_colour(drawn, .82, .22, .86, .3)
    assert red > blue


@pytest.mark.realdata
@needs_data
def test_a_wrong_preprocessing_is_no_error_but_a_wrong_class(run_lesson):
    """The percentages are those that the text of the lesson says."""
    text, _ = run_lesson('15', 'googlenet', GOOGLENET,
                         lambda cell: cell.startswith('import ') or 'photo_file' in cell)
    assert text.splitlines() == [
        'as needed                       80 %  Windsor tie',
        'as RGB                          53 %  Windsor tie',
        'without the mean                70 %  Windsor tie',
        "as for torchvision's weights    41 %  mosquito net"]


@pytest.mark.lessons
def test_a_trained_net_segments_the_photo(run_lesson, tmp_path):
    """A small net of random weights is published here in the place of torchvision's."""
    net = random_net('fcn_resnet50', 21)
    net.about.update(shorter_side=128, classes=[*voc.CLASSES], preprocess=dict(
        order='RGB', scale=1/255, mean=[.485, .456, .406], std=[.229, .224, .225]))
    net.save(tmp_path / 'small.safetensors')
    text, images = run_lesson(
        '15', 'fcn_resnet50', tmp_path / 'small.safetensors',
        lambda cell: cell.startswith('import ') or 'photo_file' in cell or 'trained_net' in cell)
    assert "GoogLeNet's weights are not here yet" in text
    assert 'No weights of such a net' not in text and len(images) == 1
    assert images[0].width > 500
