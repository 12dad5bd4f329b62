"""The first half minute on a GPU: do products and one layer come out right, how fast can they be.

    product_errors(device)                      matrix products against float64
    time_conv(net, size, implementation, …)     conv1_2 by one implementation: error and time
    gpu_timing.ceilings(device)                 what this GPU reaches in a copy and in products

An error is ‖y − expected‖ / ‖expected‖. A row whose error is above its bar says so and is timed all
the same.
"""
from contextlib import nullcontext

from gpu_timing import in_precision, multiply, time_short, to_device
from timing import np

from tinyfcn.dispatch import exact, reference_only
from tinyfcn.runtime.backend import to_numpy

# tf32 rounds factors to 11 bits: 3e-4 in a product, five times that in Winograd's F(4×4)
PRODUCT_BARS = dict(float32=1e-5, tf32=2e-3)
CONV_BARS = dict(float32=2e-5, tf32=5e-3)
PRODUCTS = dict(product=(512, 512), batched=(4, 512, 512))
CONV = 'conv1_2'
IMPLEMENTATIONS = {'reference': reference_only, 'exact kernels': exact, 'all kernels': nullcontext}


def product_errors(device, precisions):
    """Rows: the errors of one product, and of several at once, as Winograd needs them."""
    rng = np.random.default_rng(0)
    for what, shape in PRODUCTS.items():
        a, b = rng.standard_normal((2, *shape), dtype='float32')
        expected = a.astype('float64') @ b
        for precision in precisions:
            with in_precision(precision, device):
                product = to_numpy(multiply(to_device(a, device), to_device(b, device), device))
            yield dict(part='smoke', what=what, precision=precision,
                       **compare(product, expected, PRODUCT_BARS[precision]))


def compare(result, expected, bar):
    error = float(np.linalg.norm(result - expected) / np.linalg.norm(expected))
    return dict(error=error, bar=bar, ok=error <= bar)          # False for NaN


def time_conv(net, size, implementation, device, precisions, budget):
    """Rows: conv1_2 in each precision. The exact kernels in float64 give the expected result."""
    box = net[CONV]
    sizes = net.sizes(size)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, net[box.inputs[0]].channels, *sizes[box.inputs[0]]), 'float32')
    host = [x, *(net.params[name] for name in box.reads[1:])]
    with exact():
        expected = to_numpy(box.op(*(to_device(a.astype('float64'), device) for a in host),
                                   **box.kwargs)[0])
    arrays = [to_device(a, device) for a in host]

    def run():
        return box.op(*arrays, **box.kwargs)[0]

    for precision in precisions:
        with IMPLEMENTATIONS[implementation](), in_precision(precision, device):
            row = compare(to_numpy(run()), expected, CONV_BARS[precision])
            row['times'] = time_short({'tinyfcn': run}, device, budget)
        yield dict(part='smoke', what=f'{CONV}, {implementation}', precision=precision, **row)
