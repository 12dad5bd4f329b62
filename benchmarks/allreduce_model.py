"""A model of the time of a training step on many GPUs: a ring all-reduce that overlaps backward.

    predict_step(net, size, compute, ranks, bandwidth, latency)     seconds a step, seconds waiting

Nothing of GPU_FLOPS and LINKS was measured: they are assumptions, and are printed beside every
number.
"""
from typing import NamedTuple

import tinyfcn
from tinyfcn.net.summary import multiply_adds

FCN_BYTES = 536_000_000                         # 134 million float32: FCN on VGG-16
# Assumed, not measured: the sustained floating-point operations of a GPU in a second
GPU_FLOPS = 5e13


class Link(NamedTuple):
    """Assumed, not measured: bytes a second in one direction, seconds a message between GPUs."""
    name: str
    bandwidth: float
    latency: float


LINKS = {8: Link('8 in one machine, NVLink', 2e11, 3e-6),
         64: Link('8 machines, 200 Gbit/s per GPU', 2e10, 1e-5),
         1024: Link('128 machines, 200 Gbit/s per GPU', 2e10, 1e-5)}
NET = 'fcn8s'
IMAGE_SIZE = 500, 500
IMAGES_PER_GPU = 1, 4, 16                       # in a step


def ring_time(size, ranks, bandwidth, latency):
    """Seconds: each rank sends (and receives) 2 (n − 1) parts of size / n, one after another."""
    return 2 * (ranks - 1) * (size / ranks / bandwidth + latency)


def fit_link(measured):
    """[(bytes, seconds)] of two ranks -> bandwidth, latency: a line through the first and last"""
    small, least = measured[0]
    large, most = measured[-1]
    bandwidth = (large - small) / (most - least)
    return bandwidth, max(0., least - small / bandwidth) / 2


def predict_step(net, size, compute, ranks, bandwidth, latency, batches=1):
    """Seconds of a step in which each rank computes `batches`, and of them those spent waiting.

    Two thirds of `compute`, the seconds of one batch, are the backward pass. The all-reduce of a
    box's gradient starts when the last batch's backward has passed the box. All of them use one
    link, one after another, so its latency counts once.
    """
    sizes = net.sizes(size)
    costs = {box.name: multiply_adds(net, box, sizes) for box in net.boxes.values()}
    now = (batches - 2 / 3) * compute           # when the backward pass of the last batch starts
    link_free = 0.
    for box in reversed(net.boxes.values()):
        now += 2 / 3 * compute * costs[box.name] / sum(costs.values())
        sent = sum(net.params[name].nbytes for name in box.reads if name in net.params)
        if sent:
            link_free = max(link_free, now) + ring_time(sent, ranks, bandwidth, 0.)
    end = max(batches * compute, link_free + ring_time(0, ranks, bandwidth, latency))
    return end, end - batches * compute


def extrapolate():
    """-> a row for each number of GPUs and of images per GPU: FCN-8s on 500×500 pixels"""
    net = tinyfcn.build(NET, n_class=21, seed=None)
    sizes = net.sizes(IMAGE_SIZE)
    flops = 6 * sum(multiply_adds(net, box, sizes) for box in net.boxes.values())
    compute = flops / GPU_FLOPS
    for gpus, link in LINKS.items():
        for images in IMAGES_PER_GPU:
            step, waits = predict_step(net, IMAGE_SIZE, compute, gpus, link.bandwidth,
                                       link.latency, images)
            without_overlap = images * compute + ring_time(FCN_BYTES, gpus, link.bandwidth,
                                                           link.latency)
            yield dict(gpus=gpus, link=link.name, images_per_gpu=images,
                       images_per_second=gpus * images / step,
                       waits=waits / step, efficiency=images * compute / step,
                       without_overlap=images * compute / without_overlap)
