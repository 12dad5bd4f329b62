"""Pictures: of nets, of labels and predictions, of a training. The only room that knows matplotlib.

    viz.draw_net(net, 'net.png')                            the net as the paper's Figure 3
    viz.draw_activations(values, 'net.png')                 what the boxes make of one image
    viz.overlay(image, label, classes)                      the classes over the picture
    viz.draw_page('page.png', rows, classes, titles)        image, truth and predictions in rows
    viz.draw_curves('curves.png', rows)                     loss and metrics over the steps
    viz.write_label('label.png', label)                     as the VOC server wants it
    viz.show_source(ops.conv2d, backward=True)              the code of an op, in a notebook
    viz.side_by_side({'image': image}), viz.grids(x=x)      a few pictures, a few small matrices

Nothing here keeps a state or opens a window: a training may draw as it goes, in a thread too.
"""
from .activations import draw_activations
from .beside import grids, side_by_side
from .colours import colours, errors, palette, present, write_label, write_picture
from .curves import draw_curves
from .nets import draw_heatmap, draw_net, layout
from .overlays import overlay
from .pages import draw_page
from .source import show_source

__all__ = ['colours', 'draw_activations', 'draw_curves', 'draw_heatmap', 'draw_net', 'draw_page',
           'errors', 'grids', 'layout', 'overlay', 'palette', 'present', 'show_source',
           'side_by_side', 'write_label', 'write_picture']
