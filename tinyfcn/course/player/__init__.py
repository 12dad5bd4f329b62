"""A player shows a trace step by step in any page, without network, widgets or dependencies.

A trace is plain data, one of five kinds. Grids of numbers:

    dict(kind='grid', title=…, grids=[dict(name, title, values, row, dim, sign, colours, below)],
         frames=[…], dim_legend='what dim cells are')       padding if it is missing
        a grid: below, whether it stands below the one before, as a further channel of it;
                sign, what stands before it, such as '∗' or '='; colours, how its values are drawn:
                'signed', 'shade', 'classes' as in viz.colours, 'bars', or a row of '#rrggbb' for
                each of its rows
        a frame: caption; set {grid: [[i, j, value], …]}; highlight, dim {grid: [[i, j], …]};
                 formula, of the op with the indices of this step, above the grids;
                 sums [dict(cell=[grid, i, j], terms=[[[grid, i, j], …], …], name, how)],
                 the terms of what it writes into a cell, each the cells whose product it is
        how: 'sum' by default, 'add' to what the cell was before, 'max', 'mean', 'copy'
        edit: what a reader may change, and which function of retrace.mjs computes all frames anew:
              dict(function, arrays={name: rows, or a list of them}, numbers={name: int})

Maps of units over the pixels of an image; every pair is (along the height, along the width):

    dict(kind='alignment', title=…, extent=[[first, last], [first, last]] in pixels,
         maps=[dict(name, title, size, scale, shift)], frames=[…], drag='name of a map',
         image=address)                                 image is optional
        unit [i, j] of a map is centred on pixel scale·[i, j] + shift; the first map is the image
        a frame, one for each unit of the map to drag: caption; units {map: [i, j]};
                 fields {map: [[from, to], [from, to]]}, what it reads of each map, in pixels

A stack of layers, along one axis, each with its own three sums, and the reader may change them:

    dict(kind='stack', title=…, size=of the image, frames=[…], image=address,
         layers=[dict(name, op, ksize, stride, pad, like)])
        op: 'image', 'conv', 'pool', 'up', 'crop' (like the image), 'fuse' (with a crop of `like`)
        a frame, one for each layer: caption; size, scale, shift, field; offset of a crop

Pictures:

    dict(kind='images', title=…, images=[address, …], panels=[dict(name, title, width)],
         frames=[…], widths=[of each image, if not that of its panel], links=[[from, to], …])
        a panel may have a row and a column; then links are arrows between panels
        a frame: caption; show {panel: number of an image}; titles {panel: what is below it};
                 links, those that it marks

The path of a gradient descent, over the contours of Σ curvature·w² / 2:

    dict(kind='descent', title=…, curvature=[a, b], start=[w0, w1], lr=…, momentum=…, frames=[…])
        a frame: caption; point [w0, w1]; loss

Values that a frame sets remain in the frames after it. A value is None while its cell is empty.
The `dim` cells of a grid are dim in every frame.
"""
from .player import Player
from .text import format_number

__all__ = ['Player', 'format_number']
