"""A player shows a trace step by step in any page, without network, widgets or dependencies.

A trace is plain data, one of four kinds. Grids of numbers:

    dict(kind='grid', title=…, grids=[dict(name, title, values, row, dim, sign, colours)],
         frames=[…], dim_legend='what dim cells are')       padding if it is missing
        a grid: sign, what stands before it, such as '∗' or '='; colours, how its values are drawn:
                'signed', 'shade', 'classes', 'bars', or a row of '#rrggbb' for each of its rows
        a frame: caption; set {grid: [[i, j, value], …]}; highlight, dim {grid: [[i, j], …]};
                 sums [dict(cell=[grid, i, j], terms=[[[grid, i, j], …], …], name, how)],
                 the terms of what it writes into a cell, each the cells whose product it is
        how: 'sum' by default, 'add' to what the cell was before, 'max', 'mean', 'copy'
        edit: what a reader may change, and which function of retrace.mjs computes all frames anew:
              dict(function, arrays={name: rows, or a list of them}, numbers={name: int})

Lines of points, aligned with the pixels of an image:

    dict(kind='alignment', title=…, extent=[first, last], lines=[dict(name, title, points)],
         frames=[…], drag='name of a line', whose point k is frame k)
        a frame: caption; highlight {line: [k, …]}; spans {line: [from, to]}
        the first line is the image

Pictures:

    dict(kind='images', title=…, images=[address, …], panels=[dict(name, title, width)],
         frames=[…], widths=[of each image, if not that of its panel])
        a frame: caption; show {panel: number of an image}; titles {panel: what is below it}

The path of a gradient descent, over the contours of Σ curvature·w² / 2:

    dict(kind='descent', title=…, curvature=[a, b], start=[w0, w1], lr=…, momentum=…, frames=[…])
        a frame: caption; point [w0, w1]; loss

Values that a frame sets remain in the frames after it. A value is None while its cell is empty.
The `dim` cells of a grid are dim in every frame.
"""
from .player import Player
from .text import format_number

__all__ = ['Player', 'format_number']
