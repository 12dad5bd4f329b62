"""Training as the recipe of each data set does it, in images a second, beside PyTorch: A B A B …

    python benchmarks/train_speed.py            three minutes

SqueezeNet’s first stage and GoogLeNet’s recipe of each data set, as `tinyfcn train` runs them, and
as PyTorch does in accuracy.py: a step augments four images, does forward, loss and backward of
each, and updates the weights. No data are needed: the images are generated, in the sizes of the
data set, and kept in memory.
"""
from functools import partial

from timing import (
    check_machine,
    format_times,
    measure_rows,
    ratio,
    save,
    threads_of,
    time_alternately,
)

# isort: split
from competitors import PyTorch, TinyFCN
from torch_nets import LAYOUTS

from tinyfcn.data import shapes
from tinyfcn.data.dataset import Dataset
from tinyfcn.training import recipes, run

# of eight images, as common as in the data set
PHOTOS = [(240, 320)] * 6 + [(213, 320), (320, 240)]
SIZES = dict(stanford=PHOTOS, camvid=[(360, 480)] * 8, voc_animals=PHOTOS)
CLASSES = dict(stanford=8, camvid=11, voc_animals=7)
PREPROCESS = dict(order='BGR', scale=1, mean=(104., 117., 123.), std=(1, 1, 1))
RECIPES = [*(f'{name}-16s' for name in SIZES), *(f'{name}-googlenet' for name in SIZES)]
IMAGES = 64
ROUNDS = dict(min_rounds=3, max_rounds=60)
BUDGET = 15             # seconds for each recipe


def generate_dataset(set_name):
    """Shapes of six classes; the net has scores for as many classes as the data set."""
    sizes = SIZES[set_name]
    pairs = [shapes.generate(0, i, sizes[i % len(sizes)], n_class=6) for i in range(IMAGES)]
    return Dataset([f'class {i}' for i in range(CLASSES[set_name])], [*map(str, range(IMAGES))],
                   lambda name: pairs[int(name)])


def measure(recipe_name):
    """-> seconds for a step of each competitor, which has its own net"""
    # from random weights, which the rate of the recipe would let diverge
    recipe = recipes.get_recipe(recipe_name, init_from=None, preprocess=PREPROCESS, lr=1e-9)
    dataset = generate_dataset(recipe.train[0])
    competitors = {'tinyfcn': TinyFCN}
    competitors.update((layout, partial(PyTorch, layout=layout)) for layout in LAYOUTS)
    trainings = {name: make(run.build_net(recipe, dataset.classes)).train(dataset, recipe, 0)
                 for name, make in competitors.items()}
    times = time_alternately({name: training.__next__ for name, training in trainings.items()},
                             BUDGET, **ROUNDS)
    for training in trainings.values():
        training.close()                        # ends threads that prepare further images
    return dict(times=times, images=recipe.batch * recipe.iter_size)


def print_row(row):
    paces = ', '.join(f'{name} {row["images"] / own["median"]:.1f}'
                      for name, own in row['times'].items())
    print(f'{row["recipe"]}, {threads_of(row)}: images a second: {paces}')
    print(f'    ×{ratio(row["times"]):.2f}: {format_times(row["times"])}')


def main():
    machine = check_machine()
    measurements = [(dict(recipe=name), partial(measure, name)) for name in RECIPES]
    save('train_speed', measure_rows('train_speed', measurements, print_row), machine)


if __name__ == '__main__':
    main()
