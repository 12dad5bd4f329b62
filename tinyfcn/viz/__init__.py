"""Drawings of nets, labels, predictions and training runs. No other package imports matplotlib.

    viz.draw_net(net, 'net.png')                            the net as in the paper's Figure 3
    viz.draw_activations(values, 'net.png')                 the strongest channel of every box
    viz.overlay('photo.jpg', mask, classes).save('a.png')   the classes over the image, a legend
    viz.draw_page('page.png', rows, classes, titles)        image, truth and predictions in rows
    viz.draw_augmented('page.png', rows, classes)           images as a training sees them
    viz.draw_pixel('why.png', image, mask, …)               why a pixel has its class
    viz.draw_plan('plan.png', title, classes, …)            what to expect of a data set
    viz.draw_curves('curves.png', rows)                     loss and metrics over the steps
    viz.draw_lr_curve('lr.png', lr, loss, smoothed)         the loss while the rate grows
    viz.draw_confusion('confusion.png', hist, classes)      which classes are taken for which
    viz.draw_border_curve('border.png', bands, …)           the scores near borders
    viz.write_label('label.png', label)                     a palette PNG, as the VOC server wants
    viz.class_colours(classes)                              the colours that all of these use
    viz.as_colours(image)                                   an image of any channels, to look at
    viz.show_source(ops.conv2d, backward=True)              the code of an op, in a notebook
    viz.side_by_side({'image': image})                      a row of small images, in a notebook
    viz.show_matrices(x=x, y=y)                             a few small matrices, in a notebook
    viz.heat(score[0, 2])                                   numbers as colours

Nothing here has global state or opens a window, so a training may draw in a thread.
"""
from .activations import draw_activations
from .augmented import draw_augmented
from .border_curve import draw_border_curve
from .colours import class_colours, class_shares, colours, error_map, palette
from .confusion import draw_confusion
from .curves import draw_curves
from .files import write_label, write_png
from .heatmap import draw_heatmap
from .images import as_colours
from .inline import heat, show_matrices, side_by_side
from .lr_curve import draw_lr_curve
from .net_layout import layout
from .nets import draw_net
from .overlays import overlay
from .pages import draw_page
from .pixel import draw_pixel
from .plan import draw_plan
from .source import show_source

__all__ = ['as_colours', 'class_colours', 'class_shares', 'colours', 'draw_activations',
           'draw_augmented', 'draw_border_curve', 'draw_confusion', 'draw_curves', 'draw_heatmap',
           'draw_lr_curve', 'draw_net', 'draw_page', 'draw_pixel', 'draw_plan', 'error_map',
           'heat', 'layout', 'overlay', 'palette', 'show_matrices', 'show_source', 'side_by_side',
           'write_label', 'write_png']
