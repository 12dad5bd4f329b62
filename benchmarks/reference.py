"""The reference recipe on real pictures, FCN-8s on VGG-16 at full width, beside PyTorch.

    python benchmarks/reference.py --data FOLDER        five minutes, 4 GB

A picture of VOC a step, some 500×375 padded by 100, the loss summed over its pixels, lr 1e-10,
momentum 0.99: the authors' solver of FCN-8s at once. ImageNet's weights are not at hand here, so
the trunk is as it was drawn; both rivals begin with the same, drop the same units, see the same
pictures in the same order. Each runs in a process of its own; FOLDER has voc_native/.
"""
import argparse
import json
import sys
from pathlib import Path
from time import perf_counter

from side_by_side import RESULTS, apart, peak, save, start

# isort: split
import numpy as np

NAME, STEPS, PICTURES = 'voc-fcn8s-at-once', 40, 10         # each picture is seen four times


def descend(data, rival):
    """-> dict(losses, seconds, peak) of one rival, in a process that does nothing else"""
    from rivals import RIVALS
    from tqdm import tqdm

    from tinyfcn.data import load_dataset
    from tinyfcn.training import recipes, run
    recipe = recipes.get_recipe(NAME, init_from=None, steps=STEPS, replace=False)
    pictures = load_dataset('voc', Path(data) / 'voc_native', 'train')
    pictures = pictures.subset(pictures.names[:PICTURES])
    one, began = RIVALS[rival](run.build_net(recipe, pictures.classes)), perf_counter()
    losses = [*tqdm(one.losses(pictures, recipe, 0), rival, STEPS, disable=None)]
    return dict(losses=losses, seconds=perf_counter() - began, peak=peak())


def noted_in(path=RESULTS / 'reference.json'):
    """What the last run found, or nothing."""
    return json.loads(path.read_text('utf-8'))['rows'] if path.exists() else {}


def section(found):
    """Lines of Markdown: the mean loss of each round over the pictures, seconds, memory."""
    if not found:
        return
    rounds = STEPS // PICTURES
    yield '## The reference recipe, FCN-8s on VGG-16 at 500 pixels\n'
    yield (f'{STEPS} steps of `{NAME}` on {PICTURES} pictures of VOC, from a trunk as it was '
           f'drawn: a picture a step, the loss summed over its pixels, lr 1e-10, momentum 0.99.\n')
    heads = ' | '.join(f'loss, round {i + 1}' for i in range(rounds))
    yield f'| by | {heads} | seconds | peak GB |'
    yield '|' + ' --- |' * (rounds + 3)
    for rival, row in found.items():
        means = np.mean(np.reshape(row['losses'], (rounds, PICTURES)), 1)
        yield (f'| {rival} | {" | ".join(f"{mean:,.0f}" for mean in means)} | '
               f'{row["seconds"]:.0f} | {row["peak"] / 1e9:.2f} |')
    ours, theirs = (np.array(found[rival]['losses']) for rival in ('tinyfcn', 'pytorch'))
    yield f'\nThe losses of a step are at most {abs(ours / theirs - 1).max():.1e} apart.\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    before, args = start(), parser.parse_args()
    found = {rival: apart(__file__, args.data, rival) for rival in ('tinyfcn', 'pytorch')}
    save('reference', found, before)
    print(*section(found), sep='\n')


if __name__ == '__main__':
    if len(sys.argv) == 3 and sys.argv[1] != '--data':
        print(json.dumps(descend(*sys.argv[1:])))
    else:
        main()
