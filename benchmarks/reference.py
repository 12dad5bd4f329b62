"""The reference recipe on real images, FCN-8s on VGG-16 at full width, beside PyTorch.

    python benchmarks/reference.py --data FOLDER        five minutes, 4 GB

The authors' solver of FCN-8s at once: one image of VOC a step, some 500×375 padded by 100, the loss
summed over its pixels, lr 1e-10, momentum 0.99. The backbone starts from random weights, as
ImageNet's are not available here. Both competitors start from the same weights, drop the same units
and see the same images in the same order. Each has its own process; FOLDER has voc_native/.
"""
import argparse
import json
import sys
from pathlib import Path
from time import perf_counter

from timing import RESULTS, check_machine, peak_memory, run_in_subprocess, save

# isort: split
import numpy as np

NAME = 'voc-fcn8s-at-once'
STEPS = 40
IMAGES = 10             # each is used four times


def measure(data, competitor):
    """-> dict(losses, seconds, peak) of one competitor"""
    from competitors import COMPETITORS
    from tqdm import tqdm

    from tinyfcn.data import load_dataset
    from tinyfcn.training import recipes, run
    recipe = recipes.get_recipe(NAME, init_from=None, steps=STEPS, replace=False)
    dataset = load_dataset('voc', Path(data) / 'voc_native', 'train')
    dataset = dataset.subset(dataset.names[:IMAGES])
    trainer = COMPETITORS[competitor](run.build_net(recipe, dataset.classes))
    began = perf_counter()
    losses = [*tqdm(trainer.train(dataset, recipe, 0), competitor, STEPS, disable=None)]
    return dict(losses=losses, seconds=perf_counter() - began, peak=peak_memory())


def load_results(path=RESULTS / 'reference.json'):
    """The rows of the last run, or {}."""
    return json.loads(path.read_text('utf-8'))['rows'] if path.exists() else {}


def markdown_section(found):
    """The mean loss of each pass over the images, seconds, memory."""
    if not found:
        return
    passes = STEPS // IMAGES
    yield '## The reference recipe, FCN-8s on VGG-16 at 500 pixels\n'
    yield (f'{STEPS} steps of `{NAME}` on {IMAGES} images of VOC, from random weights: one image a '
           f'step, the loss summed over its pixels, lr 1e-10, momentum 0.99.\n')
    headings = ' | '.join(f'loss, pass {i + 1}' for i in range(passes))
    yield f'| by | {headings} | seconds | peak GB |'
    yield '|' + ' --- |' * (passes + 3)
    for competitor, row in found.items():
        means = np.mean(np.reshape(row['losses'], (passes, IMAGES)), 1)
        yield (f'| {competitor} | {" | ".join(f"{mean:,.0f}" for mean in means)} | '
               f'{row["seconds"]:.0f} | {row["peak"] / 1e9:.2f} |')
    ours, theirs = (np.array(found[name]['losses']) for name in ('tinyfcn', 'pytorch'))
    difference = abs(ours / theirs - 1).max()
    yield f'\nThe losses of a step differ by at most {difference:.1e}, relatively.\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    args = parser.parse_args()
    machine = check_machine()
    found = {competitor: run_in_subprocess(__file__, args.data, competitor)
             for competitor in ('tinyfcn', 'pytorch')}
    save('reference', found, machine)
    print(*markdown_section(found), sep='\n')


if __name__ == '__main__':
    if len(sys.argv) == 3 and sys.argv[1] != '--data':
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        main()
