"""Outlines of regions: pycocotools, LabelMe's way of drawing and Shapely get the mask back."""
import contextlib
import io
import json

import numpy as np
import pytest
from optional_deps import needed
from scipy.ndimage import binary_fill_holes, gaussian_filter

from tinyfcn.data.formats.labelme import draw_shape
from tinyfcn.prediction.annotations import (
    add_to_coco,
    start_coco,
    to_geojson,
    to_labelme,
    write_json,
)
from tinyfcn.prediction.regions import find_regions, label_components, signed_area

CLASSES = 'background', 'car', 'road', 'sky'


def random_masks(count, n_class=4):
    """Masks of many sizes: noise with pixels that touch at corners, and smooth ones with holes."""
    rng = np.random.default_rng(7)
    for i in range(count):
        size = rng.integers(1, 17, 2)
        values = gaussian_filter(rng.standard_normal(size), [0, .7, 1.5][i % 3])
        values = values / max(values.std(), 1e-9) + n_class / 2
        yield values.clip(0, n_class - 1).astype('uint8')


MASKS = [*random_masks(24)]


def pixels_within(rings, size):
    """The pixels whose centres have an odd number of edges on their right."""
    rows, columns = np.indices(size)
    inside = np.zeros(size, bool)
    for ring in rings:
        for (x, y0), (_, y1) in zip(ring, np.roll(ring, -1, 0)):
            inside ^= (rows >= min(y0, y1)) & (rows < max(y0, y1)) & (columns < x)
    return inside


def test_the_outlines_enclose_exactly_the_pixels_of_a_region():
    for mask in MASKS:
        again = np.full(mask.shape, 255, 'uint8')
        for region in find_regions(mask):
            pixels = pixels_within([region.outline, *region.holes], mask.shape)
            assert (again[pixels] == 255).all() and pixels.sum() == region.area
            again[pixels] = region.number
            rows, columns = np.nonzero(pixels)
            assert region.box == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
            assert signed_area(region.outline) > 0
            assert all(signed_area(hole) < 0 for hole in region.holes)
        np.testing.assert_array_equal(again, mask)


def test_void_belongs_to_no_region():
    mask = np.array([[1, 255, 1], [255, 255, 255]])
    assert [region.outline.tolist() for region in find_regions(mask)] == [
        [[0, 0], [1, 0], [1, 1], [0, 1]], [[2, 0], [3, 0], [3, 1], [2, 1]]]
    assert find_regions(np.full((3, 4), 255)) == []


def test_shapely_finds_every_polygon_valid():
    """No ring touches itself, no hole leaves its region, also where pixels touch at corners."""
    shapely = needed('shapely')
    for mask in MASKS:
        features = to_geojson(mask, ['a', 'b', 'c', 'd'])['features']
        for feature, region in zip(features, find_regions(mask), strict=True):
            polygon = shapely.geometry.shape(feature['geometry'])
            assert polygon.is_valid and polygon.area == region.area
            assert polygon.exterior.is_ccw              # RFC 7946, in the numbers as they are


@pytest.mark.filterwarnings('ignore:__array__:DeprecationWarning')       # within pycocotools
def test_pycocotools_draws_the_same_masks():
    coco_module = needed('pycocotools.coco')
    content = start_coco(CLASSES)
    for i, mask in enumerate(MASKS):
        add_to_coco(content, f'{i}.png', mask)
    coco = coco_module.COCO()
    coco.dataset = json.loads(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    for i, mask in enumerate(MASKS, start=1):
        again = np.zeros_like(mask)                     # background is not outlined
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=i)):
            pixels = coco.annToMask(annotation).astype(bool)
            assert pixels.sum() == annotation['area'] and (again[pixels] == 0).all()
            again[pixels] = annotation['category_id'] - 1
        np.testing.assert_array_equal(again, mask)


def test_labelme_draws_the_same_masks():
    """`draw_shape` draws as LabelMe does; its own tests compare it with LabelMe."""
    for mask in MASKS:
        content = json.loads(json.dumps(to_labelme(mask, CLASSES, 'a.jpg')))
        again = np.zeros_like(mask)
        for shape in content['shapes']:
            again[draw_shape(shape, mask.shape, '')] = CLASSES.index(shape['label'])
        np.testing.assert_array_equal(again, mask)
        assert (content['imageHeight'], content['imageWidth']) == mask.shape


@pytest.mark.parametrize('tolerance', [.8, 3])
def test_a_tolerance_moves_outlines_by_no_more(tolerance):
    """Every corner that was left out is within the tolerance of the edges that are left."""
    shapely = needed('shapely')
    mask = gaussian_filter(np.random.default_rng(1).standard_normal((90, 120)), 6) > 0
    exact = find_regions(mask.astype('uint8'))
    simple = find_regions(mask.astype('uint8'), tolerance)
    for before, after in zip(exact, simple, strict=True):
        assert after[:3] == before[:3]                  # class, area and box stay exact
        line = shapely.LinearRing(after.outline)
        distance = shapely.distance(line, shapely.points(before.outline)).max()
        assert 0 < distance <= tolerance or len(after.outline) == len(before.outline)
    assert sum(len(region.outline) for region in simple) < .7 * sum(
        len(region.outline) for region in exact)


def test_what_a_region_encloses_is_filled_by_its_outline():
    """LabelMe's order, from large to small, relies on this."""
    for mask in MASKS:
        components, _ = label_components(mask)
        for component, region in enumerate(find_regions(mask)):
            filled = binary_fill_holes(components == component)
            np.testing.assert_array_equal(pixels_within([region.outline], mask.shape), filled)


def test_a_mask_with_a_class_too_many_is_refused(tmp_path):
    mask = np.zeros((3, 4), 'uint8')
    mask[1, 2] = 9
    with pytest.raises(ValueError, match='class 9 at row 1, column 2; there are 4 classes'):
        to_geojson(mask, CLASSES)
    with pytest.raises(ValueError, match=r'shape \(3,\)'):
        find_regions(mask[:, 0])


def test_the_file_is_marked_as_one_of_tinyfcn(tmp_path):
    for content in (start_coco(CLASSES), to_labelme(MASKS[0], CLASSES, 'a.jpg'),
                    to_geojson(MASKS[0], CLASSES)):
        write_json(tmp_path / 'a.json', content)
        text = (tmp_path / 'a.json').read_text()
        assert 'tinyfcn' in text[:200] and json.loads(text) == content
