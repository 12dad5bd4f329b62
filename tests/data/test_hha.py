"""Depth as HHA: rooms whose floors, walls and ceilings are known, seen by a tilted camera."""
import numpy as np
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from tinyfcn.data.hha import KINECT, gravity, hha

FLOOR, CEILING, WALL, RIGHT, LEFT = range(5)
CAMERA = 130., 130., 80.5, 60.5                 # the Kinect's, at a quarter of its size
SHAPE = 120, 160


def room(pitch=0., roll=0., eye=1500., ceiling=1000., wall=4000., side=1800.):
    """-> depth in mm, which surface each pixel sees, and how high that is over the floor in mm

    The eye is so far over the floor and looks down by `pitch` degrees.
    """
    fx, fy, x, y = CAMERA
    v, u = np.mgrid[1.:SHAPE[0] + 1, 1.:SHAPE[1] + 1]
    rays = np.dstack([(u - x) / fx, (v - y) / fy, np.ones(SHAPE)])
    (c, s), (cr, sr) = ((np.cos(a), np.sin(a)) for a in np.radians([pitch, roll]))
    x, y, z = np.moveaxis(rays, -1, 0)
    x, y = cr * x - sr * y, sr * x + cr * y
    y, z = c * y + s * z, c * z - s * y
    with np.errstate(divide='ignore'):
        depths = np.stack([eye / y, -ceiling / y, wall / z, side / x, -side / x])
    depths[~(depths > 0)] = np.inf
    depth = depths.min(0)
    return depth, depths.argmin(0), eye - y * depth


@pytest.mark.parametrize('pitch, roll', [
    (0, 0), (10, 0), (25, 0), (-20, 0), (10, 8), (0, -12)])
def test_the_angle_of_floor_wall_and_ceiling(pitch, roll):
    """0, 90 and 180 degrees from gravity, and 38 more are written, however the camera looks."""
    depth, surface, _ = room(pitch, roll)
    angle = hha(depth, camera=CAMERA)[:, :, 2].astype(int)
    one = maximum_filter(surface, 7) == minimum_filter(surface, 7)      # else a window sees two
    assert one.mean() > .5 and len(np.unique(surface)) >= 4
    for kind, degrees in [(FLOOR, 38), (CEILING, 218), (WALL, 128), (RIGHT, 128), (LEFT, 128)]:
        assert (abs(angle[one & (surface == kind)] - degrees) <= 1).all()


@pytest.mark.parametrize('pitch, roll', [(0, 0), (15, 0), (-10, 5)])
def test_height_is_measured_along_gravity(pitch, roll):
    depth, surface, height = room(pitch, roll)
    assert (surface == FLOOR).any() or pitch < 0
    got = hha(depth, camera=CAMERA)[:, :, 1]
    expected = (height - height.min()) / 10
    assert abs(got - expected.clip(0, 255)).max() < 2       # of gravity a third of a degree is lost


def test_disparity_is_rounded_and_saturates():
    """As MATLAB's uint8 does: NumPy's would wrap round and cut off."""
    mm = np.full((9, 9), 2000.)
    mm[0, :6] = 1000, 1216, 500, 10000, 3111, 100
    assert hha(mm)[0, :6, 0].tolist() == [255, 255, 255, 31, 100, 255]
    assert hha(mm)[1, 0, 0] == 155
    assert hha(np.round(mm).astype('uint16'))[0, 4, 0] == 100
    assert hha(mm + 3000 / 7)[5, 5, 0] == 128       # 127.65 upwards


def test_a_scene_without_a_floor_stands_130_cm_over_it():
    """A wall straight ahead, seen from the middle: nothing lies 90 cm below the eye."""
    mm = np.full(SHAPE, 1000.)
    height = hha(mm, camera=CAMERA)[:, :, 1].astype(int)
    rows = 130 - 100 * (np.arange(1, 121) - CAMERA[3]) / CAMERA[1]
    assert (abs(height - rows[:, None]) <= .5).all()


def test_what_the_sensor_missed():
    """Holes are 0; filled ones are measured, but do not tilt the surfaces about them."""
    depth, *_ = room(10)
    whole = hha(depth, camera=CAMERA)
    holes = np.zeros(SHAPE, bool)
    holes[40:50, 60:70] = holes[:, :30] = True
    with_holes = hha(np.where(holes, 0, depth), camera=CAMERA)
    assert not with_holes[holes].any()
    marked_in_part = hha(np.where(holes, 0, depth), np.zeros(SHAPE, bool), CAMERA)
    np.testing.assert_array_equal(marked_in_part, with_holes)
    far = ~holes
    for i in -4, -2, 2, 4:
        far &= ~np.roll(holes, i, 0) & ~np.roll(holes, i, 1)
    assert abs(with_holes.astype(int) - whole)[far].mean() < 1
    filled = hha(np.where(holes, 3000, depth), holes, CAMERA)
    np.testing.assert_array_equal(filled[~holes][:, [0, 2]], with_holes[~holes][:, [0, 2]])
    assert (filled[holes][:, 0] == 103).all()
    known = filled[:, :, 2] > 0
    assert known[60:, 28:].all()                # three pixels into a hole a surface is still near
    assert not known[60:, :28].any()            # four, and it is none, or but one line of pixels
    assert not known[43:47, 63:67].any() and known[42, 62]
    with pytest.raises(ValueError, match='no depth at all: every pixel is missing'):
        hha(np.zeros((4, 4)))


def test_gravity_by_definition():
    """Of all directions, the one of least Σ_wall (n·g)² − Σ_floor (n·g)², found by trying them."""
    rng = np.random.default_rng(4)
    down = np.array([.1, .97, .2]) / np.linalg.norm([.1, .97, .2])
    side = np.linalg.svd(down[None])[2][1:]
    turn = rng.uniform(0, 2 * np.pi, 300)
    walls = np.outer(np.cos(turn), side[0]) + np.outer(np.sin(turn), side[1])
    normals = np.concatenate([walls, np.tile(down, (200, 1))]) + rng.normal(0, .02, (500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    got = gravity(np.concatenate([normals, np.full((7, 3), np.nan)]).reshape(-1, 13, 3))
    along = abs(normals @ got)
    floor, wall = normals[along > np.cos(np.pi / 12)], normals[along < np.sin(np.pi / 12)]
    tried = rng.normal(0, .05, (20000, 3)) + got
    tried /= np.linalg.norm(tried, axis=1, keepdims=True)
    cost = ((tried @ wall.T) ** 2).sum(1) - ((tried @ floor.T) ** 2).sum(1)
    assert np.linalg.norm(tried[cost.argmin()] - got) < .01
    assert np.degrees(np.arccos(got @ down)) < 1 and abs(np.linalg.norm(got) - 1) < 1e-12


def test_the_camera_is_the_kinects_unless_told():
    depth = np.random.default_rng(0).uniform(1000, 4000, (24, 30))
    np.testing.assert_array_equal(hha(depth), hha(depth, camera=KINECT))
    assert (hha(depth) != hha(depth, camera=CAMERA)).any()
