"""The paper's nets for SIFT Flow: one trunk, two heads, 33 semantic and 3 geometric classes."""
from .vgg import vgg16_trunk


def two_heads(n, n_class=33, width=1, head=None):
    """score_sem and score_geo, two independent heads, each with a loss of its own."""
    vgg16_trunk(n, n.data, width)
    head(n.branch('_sem'), n_class)
    head(n.branch('_geo'), 3)
