"""Small things side by side, as the cells of a notebook show them."""
import numpy as np


def side_by_side(pictures, width=1.75):
    """A row of pictures under their titles, in few colours, which keeps a notebook small.

    {title: (H, W) or (H, W, 3)}, width in inches of each -> a picture of Pillow's
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image
    figure = Figure(figsize=(width * len(pictures), .85 * width), layout='constrained', dpi=70)
    axes = figure.subplots(1, len(pictures), squeeze=False)[0]
    for ax, (title, picture) in zip(axes, pictures.items()):
        ax.imshow(picture, cmap='gray', interpolation='nearest')
        ax.set_title(title, fontsize=9)
        ax.axis('off')
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.array(canvas.buffer_rgba())[..., :3]).quantize(32)


class Grids(str):
    """HTML that shows itself when it ends a cell."""

    def _repr_html_(self):
        return str(self)


def grids(**arrays):
    """Small matrices side by side, with their numbers; what is not zero is coloured. -> Grids"""
    tables = []
    for title, array in arrays.items():
        rows = [''.join(f'<td style="background:#fa06">{v:g}' if v else '<td>0' for v in row)
                for row in array]
        tables.append(f'<table style="display:inline-table;margin:.5em;text-align:right">'
                      f'<caption style="white-space:nowrap">{title.replace("_", " ")}</caption>'
                      f'<tr>{"<tr>".join(rows)}</table>')
    return Grids(''.join(tables))
