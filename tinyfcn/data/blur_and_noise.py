"""Blur and noise, as of a worse camera. They change the image alone; its label stays."""
import numpy as np

from .colour import round_to
from .labels import Array

RADIUS = 4              # of the Gaussian's kernel, in standard deviations


def gaussian_blur(image: Array, sigma: float) -> Array:
    """Convolve with a Gaussian of standard deviation `sigma`, in pixels, up to 4 of them away.

    image (H, W, C), whose mirror image continues it
    """
    from scipy.ndimage import gaussian_filter
    blurred = np.empty(image.shape, 'float32')
    for channel in range(image.shape[2]):
        values = image[..., channel].astype('float32')
        blurred[..., channel] = gaussian_filter(values, sigma, mode='reflect', truncate=RADIUS)
    return round_to(image.dtype, blurred)


def add_noise(image: Array, share: float, rng: np.random.Generator) -> Array:
    """Add N(0, σ²) to each value, where σ is this share of the standard deviation of its channel.

    image (H, W, C). So the noise is as strong for an image of 16 bits as for one of 8.
    """
    noise = rng.standard_normal(image.shape, 'float32')
    # one channel at a time, which is six times as fast as image.std((0, 1))
    noise *= np.array([share * channel.std() for channel in image.transpose(2, 0, 1)], 'float32')
    noise += image
    return round_to(image.dtype, noise)
