"""A net in the reader's browser: one page that runs it on the reader's own picture.

    explain.make_page([explain.Part('FCN-8s', net)], image, 'a title')     -> HTML
    explain.make_calculator({'fcn8s': net}, 'a title')                     sizes and crops

The page computes with ops of its own in JavaScript (*.mjs), which tests hold to the library's.
"""
from .describe import describe_net, pack_weights
from .page import Part, make_calculator, make_page

__all__ = ['Part', 'describe_net', 'make_calculator',
           'make_page', 'pack_weights']
