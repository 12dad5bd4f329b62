"""Depth as HHA, in rooms with known floors, walls and ceilings and a tilted camera."""
import numpy as np
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from tinyfcn.data.hha import KINECT, Camera, encode_hha, estimate_gravity

FLOOR, CEILING, WALL, RIGHT, LEFT = range(5)
CAMERA = Camera(130., 130., 80.5, 60.5)         # the Kinect's, at a quarter of the resolution
SHAPE = 120, 160


def rotation(pitch, roll):
    """From the axes of the camera to those of the room: first roll, then pitch."""
    pitch, roll = np.radians([pitch, roll])
    by_roll = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0],
                        [0, 0, 1]])
    by_pitch = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)],
                         [0, -np.sin(pitch), np.cos(pitch)]])
    return by_pitch @ by_roll


def room(pitch=0., roll=0., eye=1500., ceiling=1000., wall=4000., side=1800.):
    """-> depth in mm, the surface at each pixel, and its height above the floor in mm

    The camera is `eye` mm above the floor and points down by `pitch` degrees.
    """
    v, u = np.mgrid[1.:SHAPE[0] + 1, 1.:SHAPE[1] + 1]
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(SHAPE)])
    x, y, z = np.tensordot(rotation(pitch, roll), rays, 1)
    with np.errstate(divide='ignore'):
        depths = np.stack([eye / y, -ceiling / y, wall / z, side / x, -side / x])
    depths[~(depths > 0)] = np.inf
    depth = depths.min(0)
    return depth, depths.argmin(0), eye - y * depth


@pytest.mark.parametrize('pitch, roll', [
    (0, 0), (10, 0), (25, 0), (-20, 0), (10, 8), (0, -12)])
def test_the_angle_of_floor_walls_and_ceiling(pitch, roll):
    """0, 90 and 180 degrees from gravity, plus 38, however the camera is tilted."""
    depth, surface, _ = room(pitch, roll)
    angle = encode_hha(depth, camera=CAMERA)[:, :, 2].astype(int)
    # pixels whose window lies on one surface
    inner = maximum_filter(surface, 7) == minimum_filter(surface, 7)
    assert inner.mean() > .5 and len(np.unique(surface)) >= 4
    for kind, degrees in [(FLOOR, 38), (CEILING, 218), (WALL, 128), (RIGHT, 128), (LEFT, 128)]:
        assert (abs(angle[inner & (surface == kind)] - degrees) <= 1).all()


@pytest.mark.parametrize('pitch, roll', [(0, 0), (15, 0), (-10, 5)])
def test_height_is_measured_along_gravity(pitch, roll):
    depth, surface, height = room(pitch, roll)
    assert (surface == FLOOR).any() or pitch < 0
    got = encode_hha(depth, camera=CAMERA)[:, :, 1]
    expected = (height - height.min()) / 10
    assert abs(got - expected.clip(0, 255)).max() < 2       # gravity is off by up to ⅓ degree


def test_disparity_is_rounded_and_saturates():
    """As MATLAB's uint8 does; NumPy's would wrap around and truncate."""
    mm = np.full((9, 9), 2000.)
    mm[0, :6] = 1000, 1216, 500, 10000, 3111, 100
    assert encode_hha(mm)[0, :6, 0].tolist() == [255, 255, 255, 31, 100, 255]
    assert encode_hha(mm)[1, 0, 0] == 155
    assert encode_hha(np.round(mm).astype('uint16'))[0, 4, 0] == 100
    assert encode_hha(mm + 3000 / 7)[5, 5, 0] == 128       # 127.65 is rounded up


def test_without_a_floor_in_view_the_camera_is_at_130_cm():
    """A wall straight ahead: nothing in view is 90 cm below the camera."""
    mm = np.full(SHAPE, 1000.)
    height = encode_hha(mm, camera=CAMERA)[:, :, 1].astype(int)
    rows = 130 - 100 * (np.arange(1, 121) - CAMERA.cy) / CAMERA.fy
    assert (abs(height - rows[:, None]) <= .5).all()


def test_missing_depths():
    """They are 0. Where they were filled in, they have channels, but do not tilt the surfaces."""
    depth, *_ = room(10)
    complete = encode_hha(depth, camera=CAMERA)
    missing = np.zeros(SHAPE, bool)
    missing[40:50, 60:70] = True
    missing[:, :30] = True
    incomplete = encode_hha(np.where(missing, 0, depth), camera=CAMERA)
    assert not incomplete[missing].any()
    unmarked = encode_hha(np.where(missing, 0, depth), np.zeros(SHAPE, bool), CAMERA)
    np.testing.assert_array_equal(unmarked, incomplete)
    far = ~missing
    for i in -4, -2, 2, 4:
        far &= ~np.roll(missing, i, 0) & ~np.roll(missing, i, 1)
    assert abs(incomplete.astype(int) - complete)[far].mean() < 1
    filled = encode_hha(np.where(missing, 3000, depth), missing, CAMERA)
    np.testing.assert_array_equal(filled[~missing][:, [0, 2]], incomplete[~missing][:, [0, 2]])
    assert (filled[missing][:, 0] == 103).all()
    known = filled[:, :, 2] > 0
    assert known[60:, 28:].all()                # a surface within three pixels counts as near
    assert not known[60:, :28].any()            # at four there is none, or but one line of pixels
    assert not known[43:47, 63:67].any() and known[42, 62]
    with pytest.raises(ValueError, match='no depth at all: every pixel is missing'):
        encode_hha(np.zeros((4, 4)))


def test_gravity_minimises_its_cost():
    """Σ_wall (n·g)² − Σ_floor (n·g)², compared with 20,000 random directions nearby."""
    rng = np.random.default_rng(4)
    down = np.array([.1, .97, .2]) / np.linalg.norm([.1, .97, .2])
    side = np.linalg.svd(down[None])[2][1:]
    turn = rng.uniform(0, 2 * np.pi, 300)
    walls = np.outer(np.cos(turn), side[0]) + np.outer(np.sin(turn), side[1])
    normals = np.concatenate([walls, np.tile(down, (200, 1))]) + rng.normal(0, .02, (500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    got = estimate_gravity(np.concatenate([normals, np.full((7, 3), np.nan)]).reshape(-1, 13, 3))
    along = abs(normals @ got)
    floor = normals[along > np.cos(np.pi / 12)]
    wall = normals[along < np.sin(np.pi / 12)]
    directions = rng.normal(0, .05, (20000, 3)) + got
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    cost = ((directions @ wall.T) ** 2).sum(1) - ((directions @ floor.T) ** 2).sum(1)
    assert np.linalg.norm(directions[cost.argmin()] - got) < .01
    assert np.degrees(np.arccos(got @ down)) < 1 and abs(np.linalg.norm(got) - 1) < 1e-12


def test_the_default_camera_is_the_kinects():
    depth = np.random.default_rng(0).uniform(1000, 4000, (24, 30))
    np.testing.assert_array_equal(encode_hha(depth), encode_hha(depth, camera=KINECT))
    assert (encode_hha(depth) != encode_hha(depth, camera=CAMERA)).any()
