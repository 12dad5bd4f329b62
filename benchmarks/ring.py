"""What a step costs on many cards: gradients go around a ring while the walk back goes on.

    predicted(net, size, compute, ranks, bandwidth, latency)    seconds a step, and those waited

Nothing of CARD and LINKS was measured: they are assumptions, and stand beside every number.
"""
import tinyfcn
from tinyfcn.net.summary import multiply_adds

FULL = 536_000_000                              # bytes of 134 million float32: FCN on VGG-16
# Assumed, not measured: the floating-point operations that a card does in a second, all in all; the
# bytes that a link carries one way, and how long a message takes from one card to the next.
CARD = 5e13
LINKS = {8: ('8 in one machine, NVLink', 2e11, 3e-6),
         64: ('8 machines, 200 Gbit/s a card', 2e10, 1e-5),
         1024: ('128 machines, 200 Gbit/s a card', 2e10, 1e-5)}
FCN, IMAGE, SHARES = 'fcn8s', (500, 500), (1, 4, 16)    # pictures that a card walks in a step


def ring(size, ranks, bandwidth, latency):
    """Seconds: each rank sends (and gets) 2 (n − 1) parts of size / n, one after another."""
    return 2 * (ranks - 1) * (size / ranks / bandwidth + latency)


def fitted(found):
    """[(bytes, seconds)] of two ranks -> bytes a second, seconds a message: through the ends."""
    (small, least), (large, most) = found[0], found[-1]
    bandwidth = (large - small) / (most - least)
    return bandwidth, max(0., least - small / bandwidth) / 2


def predicted(net, size, compute, ranks, bandwidth, latency, batches=1):
    """Seconds of a step in which each rank walks `batches`, and of them those spent waiting.

    Two thirds of `compute`, the seconds of one batch, are the walk back. A gradient sets off when
    the last walk back has come by its box, and buckets follow one another over one link, whose
    latency is so paid once.
    """
    sizes, now, link = net.sizes(size), (batches - 2 / 3) * compute, 0.
    costs = {box.name: multiply_adds(net, box, sizes) for box in net.boxes.values()}
    for box in reversed(net.boxes.values()):
        now += 2 / 3 * compute * costs[box.name] / sum(costs.values())
        sent = sum(net.params[name].nbytes for name in box.reads if name in net.params)
        if sent:
            link = max(link, now) + ring(sent, ranks, bandwidth, 0.)
    over = max(batches * compute, link + ring(0, ranks, bandwidth, latency))
    return over, over - batches * compute


def drawn_out():
    """-> a row for each number of cards and pictures a card: FCN-8s on 500×500 pixels"""
    net = tinyfcn.build(FCN, n_class=21, seed=None)
    sizes = net.sizes(IMAGE)
    compute = 6 * sum(multiply_adds(net, box, sizes) for box in net.boxes.values()) / CARD
    for cards, (words, bandwidth, latency) in LINKS.items():
        for share in SHARES:
            step, waits = predicted(net, IMAGE, compute, cards, bandwidth, latency, share)
            yield dict(cards=cards, link=words, share=share, images=cards * share / step,
                       waits=waits / step, efficiency=share * compute / step,
                       without_overlap=share * compute / (
                           share * compute + ring(FULL, cards, bandwidth, latency)))
