"""The explainer and the crop calculator on these pages: explain/index.html, explain/crops.html.

explain/demo.npz has the weights of `make demo`, trained on generated images, in half precision.
"""
from pathlib import Path

import numpy as np

import tinyfcn
from tinyfcn.cli.explain import QUESTIONS
from tinyfcn.data import load_dataset
from tinyfcn.explain import Part, make_calculator, make_page
from tinyfcn.training import recipes

WEIGHTS = Path(__file__).parent / 'explain/demo.npz'
STRIDES = 32, 16, 8
PRESETS = 'tiny_8s', 'fcn32s', 'fcn16s', 'fcn8s', 'fcn_alexnet', 'fcn_squeezenet_4s', 'unet'
EXAMPLE = 0                     # the number of the test image that is shown first


def demo_net(stride, classes):
    """The net of a stage of the demo, with its weights."""
    recipe = recipes.get_recipe(f'shapes-{stride}s')
    net = tinyfcn.build(recipe.net, n_class=len(classes))
    net.about.update(classes=classes, preprocess=recipe.preprocess)
    arrays = {**net.params, **net.state}
    with np.load(WEIGHTS) as file:
        for name, w in arrays.items():
            w[...] = file[f'{stride}s/{name}']
    return net


def write_pages(app, error):
    """Beside the pages that Sphinx has written."""
    if error:
        return
    test = load_dataset('shapes', split='test')
    image, _ = test[EXAMPLE]
    parts = [Part(f'FCN-{stride}s', demo_net(stride, list(test.classes))) for stride in STRIDES]
    nets = {name: tinyfcn.build(name, n_class=21, seed=None) for name in PRESETS}
    folder = Path(app.outdir) / 'explain'
    folder.mkdir(exist_ok=True)
    page = make_page(parts, image, 'Three FCNs in your browser', QUESTIONS)
    (folder / 'index.html').write_text(page, 'utf-8')
    page = make_calculator(nets, 'Sizes, alignments and crops')
    (folder / 'crops.html').write_text(page, 'utf-8')


def setup(app):
    app.connect('build-finished', write_pages)
    return dict(parallel_read_safe=True)
