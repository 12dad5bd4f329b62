"""HHA (Gupta et al. 2014): depth as three channels that a net for colour images can read.

They are disparity, height above the floor, and the angle between the surface and gravity. The
direction of gravity is estimated: floors and ceilings are perpendicular to it, walls parallel.
Camera axes: x to the right, y down, z into the scene.
"""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..files import ImageError
from .labels import Array

Floats = NDArray[np.float64]


class Camera(NamedTuple):
    """Focal lengths and centre in pixels, which are counted from 1 as in MATLAB."""

    fx: float
    fy: float
    cx: float
    cy: float


# of NYUDv2's images, when they are not cropped: 640×480
KINECT = Camera(518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465)

# (how many degrees off a surface still counts as floor or wall, iterations)
ROUNDS = (45, 5), (15, 5)
NORMAL_RADIUS = 3           # pixels around the one whose normal is estimated
GRAVITY_RADIUS = 10         # the same for gravity: a larger window is less noisy


def encode_hha(depth: Array, missing: NDArray[np.bool_] | None = None,
               camera: Camera = KINECT) -> NDArray[np.uint8]:
    """(H, W) in millimetres -> (H, W, 3) uint8: 31000 / depth, height in cm, angle + 38 in degrees.

    `missing` marks pixels that the sensor did not measure: if they were filled in, they do not
    count for the direction of a surface. Where depth is 0, or no surface is near, channels are 0.
    """
    unmeasured = depth <= 0
    missing = unmeasured if missing is None else missing | unmeasured
    if missing.all():
        raise ImageError('no depth at all: every pixel is missing')
    rays = _rays(depth.shape, camera)
    cm = depth / 10.
    down = estimate_gravity(_normals(cm, missing, rays, GRAVITY_RADIUS))
    normals = _normals(cm, missing, rays, NORMAL_RADIUS)
    height = -(cm[..., None] * rays) @ down
    lowest = height.min()
    height -= -130 if lowest > -90 else lowest          # no floor in view: it is 130 cm below
    angle = np.degrees(np.arccos((normals @ down).clip(-1, 1))) + 128 - 90
    channels = np.dstack([31000 / cm.clip(100), height, angle])
    channels[unmeasured] = 0
    saturated = np.nan_to_num(channels).clip(0, 255)
    rounded = np.floor(saturated + .5)                  # as MATLAB does: .5 up
    return np.asarray(rounded, 'uint8')


def estimate_gravity(normals: Floats, down: Sequence[float] | Floats = (0., 1., 0.)) -> Floats:
    """The g that minimises Σ_wall (n·g)² − Σ_floor (n·g)².

    normals (H, W, 3) -> (3,), of length 1. Which surfaces are walls and floors is decided by the
    last estimate, so the two alternate, starting from `down`.
    """
    normals = normals[np.isfinite(normals).all(-1)]
    down = np.array(down)
    for degrees, iterations in ROUNDS:
        for _ in range(iterations):
            along = abs(normals @ down)
            floor = normals[along > np.cos(np.radians(degrees))]
            wall = normals[along < np.sin(np.radians(degrees))]
            prior = np.outer(down, down)            # one more pixel of floor, to break a tie
            least = np.linalg.eigh(wall.T @ wall - floor.T @ floor - prior)[1][:, 0]
            down = least * (1 if least @ down >= 0 else -1)
    return down


def _normals(depth: Array, missing: NDArray[np.bool_], rays: Floats, radius: int) -> Floats:
    """The normal n of the plane 1 / depth = n · ray that fits best in a window around each pixel.

    It points away from the camera, since depth is positive. Solved by Cramer's rule: with
    A = Σ ray rayᵀ and b = Σ ray / depth, n ~ b₀ (a₁ × a₂) + b₁ (a₂ × a₀) + b₂ (a₀ × a₁).
    -> (H, W, 3), or NaN
    """
    from scipy.ndimage import uniform_filter

    side = 2 * radius + 1

    def window_mean(values: Floats | float) -> Floats:
        mean: Floats = uniform_filter(np.where(missing, 0, values), side, mode='constant')
        return mean

    inverse = 1 / np.where(missing, 1, depth)
    a = [np.dstack([window_mean(rays[..., i] * rays[..., j]) for j in range(3)]) for i in range(3)]
    b = [window_mean(rays[..., i] * inverse)[..., None] for i in range(3)]
    n = np.zeros(rays.shape)
    for i in range(3):
        n = n + b[i] * np.cross(a[i - 2], a[i - 1])
    known = np.rint(window_mean(1.) * side ** 2)
    n[known <= side] = np.nan                           # they may lie on a line: no plane
    length: Floats = np.linalg.norm(n, axis=-1, keepdims=True)
    return n / length


def _rays(shape: tuple[int, ...], camera: Camera) -> Floats:
    """The viewing direction of each pixel, (x, y, 1). -> (H, W, 3)"""
    v, u = np.mgrid[1.:shape[0] + 1, 1.:shape[1] + 1]
    return np.dstack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(shape)])
