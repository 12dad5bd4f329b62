"""HHA (Gupta et al. 2014): depth as three channels that a net for colour understands.

Disparity, height above the floor, and the angle between a surface and gravity. Which way gravity
points is estimated: floors and ceilings lie across it, walls along it. Camera axes: x to the
right, y down, z into the picture.
"""
import numpy as np

from .images import ImageError

KINECT = 518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465
ROUNDS = (45, 5), (15, 5)               # within so many degrees is floor or wall; how often


def hha(depth, missing=None, camera=KINECT):
    """(H, W) in millimetres -> (H, W, 3) uint8: 31000 / depth, height in cm, angle + 38 in degrees.

    `missing` marks what the sensor has not seen: if it was filled in, it has no say in which way
    a surface faces; where depth is 0 or no surface is near, channels are 0. `camera` is fx, fy and
    the centre x, y of NYUDv2's whole 640×480 pictures, counted from 1.
    """
    missing = depth <= 0 if missing is None else missing | (depth <= 0)
    if missing.all():
        raise ImageError('no depth at all: every pixel is missing')
    rays = _rays(depth.shape, camera)
    cm = depth / 10.
    down = gravity(_normals(cm, missing, rays, 10))
    normals = _normals(cm, missing, rays, 3)
    height = -(cm[..., None] * rays) @ down
    lowest = height.min()
    height -= -130 if lowest > -90 else lowest          # no floor in sight: at 130 cm below
    angle = np.degrees(np.arccos((normals @ down).clip(-1, 1))) + 128 - 90
    channels = np.dstack([31000 / cm.clip(100), height, angle])
    channels[depth <= 0] = 0
    return np.floor(np.nan_to_num(channels).clip(0, 255) + .5).astype('uint8')      # as MATLAB does


def gravity(normals, down=(0., 1., 0.)):
    """The g of least Σ_wall (n·g)² − Σ_floor (n·g)²: floors lie across it, walls along it.

    Normals (H, W, 3) -> (3,), of length 1. What is wall or floor is asked anew after each answer.
    """
    normals = normals[np.isfinite(normals).all(-1)]
    down = np.array(down)
    for degrees, times in ROUNDS:
        for _ in range(times):
            along = abs(normals @ down)
            floor = normals[along > np.cos(np.radians(degrees))]
            wall = normals[along < np.sin(np.radians(degrees))]
            stay = np.outer(down, down)             # as one more pixel of floor: breaks a tie
            least = np.linalg.eigh(wall.T @ wall - floor.T @ floor - stay)[1][:, 0]
            down = least * (1 if least @ down >= 0 else -1)
    return down


def _normals(depth, missing, rays, radius):
    """Of the plane 1 / depth = n · ray that fits best in a window about each pixel.

    It faces away, for depth is positive. Solved by Cramer's rule: with A = Σ ray rayᵀ and
    b = Σ ray / depth, n ~ b₀ (a₁ × a₂) + b₁ (a₂ × a₀) + b₂ (a₀ × a₁).   -> (H, W, 3), or NaN
    """
    from scipy.ndimage import uniform_filter

    side = 2 * radius + 1

    def around(values):
        return uniform_filter(np.where(missing, 0, values), side, mode='constant')

    inverse = 1 / np.where(missing, 1, depth)
    a = [np.dstack([around(rays[..., i] * rays[..., j]) for j in range(3)]) for i in range(3)]
    b = [around(rays[..., i] * inverse)[..., None] for i in range(3)]
    n = sum(b[i] * np.cross(a[i - 2], a[i - 1]) for i in range(3))
    known = np.rint(around(1.) * side ** 2)
    n[known <= side] = np.nan                           # they may lie in a line: no plane
    return n / np.linalg.norm(n, axis=-1, keepdims=True)


def _rays(shape, camera):
    """The direction in which each pixel looks, one unit deep. -> (H, W, 3)"""
    fx, fy, x, y = camera
    v, u = np.mgrid[1.:shape[0] + 1, 1.:shape[1] + 1]
    return np.dstack([(u - x) / fx, (v - y) / fy, np.ones(shape)])
