"""What the boxes of a net make of one image: the strongest channel of each, in a row of tiles."""
import numpy as np

ACROSS = 5              # tiles in a row


def draw_activations(values, path):
    """As in DeconvNet's figure of its activations.   {box: (C, h, w)} -> a picture in a file

    Of each box the channel with the largest mean magnitude is shown, dark where it is silent.
    """
    from matplotlib.figure import Figure
    down = -(-len(values) // ACROSS)
    h, w = max((y.shape[1:] for y in values.values()), key=np.prod)
    figure = Figure(figsize=(2.2 * ACROSS, down * (2.2 * h / w + .35)), dpi=110,
                    layout='constrained')
    tiles = figure.subplots(down, ACROSS, squeeze=False).ravel()
    for ax in tiles:
        ax.axis('off')
    for ax, (name, y) in zip(tiles, values.items()):
        strength = abs(y).mean((1, 2))
        number = int(strength.argmax())
        ax.imshow(abs(y[number]), cmap='inferno', interpolation='nearest')
        ax.set_title('{}\n{}×{}, channel {} of {}'.format(name, *y.shape[1:], number, len(y)),
                     fontsize=7)
    figure.savefig(path)
