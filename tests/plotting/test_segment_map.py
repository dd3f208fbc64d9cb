"""The map of segments: circles, names, colours, and what is refused."""

import numpy as np
import pytest
import scipy.sparse as sp
from extents import LONG, assert_apart, assert_inside, boxes
from sklearn.exceptions import NotFittedError

from sksparse_rec import LatentSegments
from sksparse_rec.plotting import SegmentMapDisplay
from sksparse_rec.plotting._map_geometry import SMALLEST


def random_map(n, seed=0, **options):
    rng = np.random.default_rng(seed)
    A = np.abs(rng.normal(size=(n, 8))) ** 3
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    sizes = rng.integers(1, 60, n)
    names = [f"{i} " + LONG[: 3 + 7 * (i % 8)] for i in range(n)]
    return SegmentMapDisplay.from_arrays(A, sizes, names, **options), sizes


def circles_of(display):
    """Return centers and radii in points of the axes."""
    extents = [path.get_extents() for path in display.circles_.get_paths()]
    centers = np.array([(box.x0 + box.x1, box.y0 + box.y1) for box in extents]) / 2
    return centers, np.array([box.width for box in extents]) / 2


@pytest.mark.parametrize("n", [1, 2, 5, 6, 30, 120])
def test_names_on_the_map_can_be_read(n):
    display, _ = random_map(n)
    extents = boxes(display.figure_, display.labels_.values())
    assert_apart(extents)
    frame = display.ax_.get_window_extent()
    centers, radii = circles_of(display)
    points = display.ax_.transData.transform(centers)
    scale = display.figure_.dpi / 72
    for extent in extents:
        assert_inside(extent, frame)
        low, high = (extent.x0, extent.y0), (extent.x1, extent.y1)
        distance = np.hypot(*(points - points.clip(low, high)).T)
        # Nothing is covered.
        assert np.all(distance >= scale * radii - 0.5)
    # What is left out are the smallest, and the picture says so.
    n_left = n - len(display.labels_)
    assert (str(n_left) in display.ax_.get_xlabel()) == (n_left > 0)
    assert n_left == 0 or n > 6


def test_each_name_is_next_to_its_circle():
    display, _ = random_map(30)
    centers, radii = circles_of(display)
    extents = boxes(display.figure_, display.labels_.values())
    points = display.ax_.transData.transform(centers)
    scale = display.figure_.dpi / 72
    for segment, extent in zip(display.labels_, extents, strict=True):
        low, high = (extent.x0, extent.y0), (extent.x1, extent.y1)
        gaps = np.hypot(*(points - points.clip(low, high)).T) - scale * radii
        assert np.argmin(gaps) == segment


@pytest.mark.parametrize("n", [12, 120, 250])
def test_areas_are_in_proportion_to_sizes(n):
    display, sizes = random_map(n)
    centers, radii = circles_of(display)
    expected = np.sort(sizes)[::-1]
    np.testing.assert_array_equal(display.sizes, expected)
    areas = radii**2 / radii[0] ** 2
    large = radii > SMALLEST + 1e-6
    np.testing.assert_allclose(areas[large], (expected / expected[0])[large], rtol=1e-6)
    gaps = np.linalg.norm(centers[:, None] - centers, axis=2) - radii[:, None] - radii
    np.fill_diagonal(gaps, np.inf)
    assert gaps.min() > 0
    width, height = display.ax_.get_xlim()[1], display.ax_.get_ylim()[1]
    assert np.all(centers - radii[:, None] >= -1e-6)
    assert np.all(centers + radii[:, None] <= np.array([width, height]) + 1e-6)


@pytest.mark.parametrize("n_groups", [2, 4])
def test_similar_segments_are_near_each_other(n_groups):
    labels = np.repeat(np.arange(n_groups), 6)
    rng = np.random.default_rng(0)
    A = np.eye(8)[labels] + 0.05 * rng.normal(size=(len(labels), 8))
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    display = SegmentMapDisplay.from_arrays(A, np.ones(len(labels)), labels.astype(str))
    centers, _ = circles_of(display)
    distances = np.linalg.norm(centers[:, None] - centers, axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = labels[distances.argmin(axis=1)]
    assert np.mean(nearest == labels) > 0.8


def test_equal_segments_do_not_share_a_place():
    display = SegmentMapDisplay.from_arrays(
        np.ones((4, 1)), np.full(4, 5), ["a", "b", "c", "d"]
    )
    centers, radii = circles_of(display)
    distances = np.linalg.norm(centers[:, None] - centers, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert distances.min() > 2 * radii[0]
    assert len(display.labels_) == 4


def test_segments_without_a_name_need_no_room():
    display = SegmentMapDisplay.from_arrays(np.eye(3), [3, 2, 1], ["a", " ", "c"])
    assert {place: x.get_text() for place, x in display.labels_.items()} == {
        0: "a",
        2: "c",
    }
    assert display.ax_.get_xlabel() == "area: number of items"


@pytest.mark.parametrize("container", [sp.coo_array, sp.csr_matrix, sp.csc_array])
def test_sparse_embeddings_of_any_format(container):
    rows = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1]])
    given = [4, 2, 1], ["a", "b", "c"]
    dense = SegmentMapDisplay.from_arrays(rows, *given)
    sparse = SegmentMapDisplay.from_arrays(container(rows), *given)
    np.testing.assert_allclose(sparse.positions, dense.positions, atol=1e-12)


def test_values_are_colours_with_a_bar():
    plain, _ = random_map(10)
    assert plain.colorbar_ is None
    values = np.linspace(-1, 1, 10)
    display, sizes = random_map(10, values=values, value_name="match")
    assert display.colorbar_.ax.get_ylabel() == "match"
    order = np.lexsort((np.arange(10), -sizes))
    np.testing.assert_array_equal(display.values, values[order])
    faces = display.circles_.get_facecolor()
    expected = display.colorbar_.mappable.to_rgba(values[order])
    np.testing.assert_allclose(faces, expected)


def test_the_largest_only():
    display, sizes = random_map(20, n_segments=7)
    np.testing.assert_array_equal(display.sizes, np.sort(sizes)[::-1][:7])
    assert len(display.circles_.get_paths()) == 7


def test_a_map_of_segments(segments):
    display = SegmentMapDisplay.from_estimator(segments)
    np.testing.assert_array_equal(display.sizes, segments.segment_sizes_)
    assert list(display.names) == list(segments.segment_names_)
    again = SegmentMapDisplay.from_estimator(segments)
    np.testing.assert_array_equal(display.positions, again.positions)
    with pytest.raises(NotFittedError):
        SegmentMapDisplay.from_estimator(LatentSegments())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embeddings": np.empty((0, 2)), "sizes": [], "names": []}, "no segments"),
        ({"sizes": [1]}, "sizes has shape"),
        ({"names": ["a"]}, "names has shape"),
        ({"values": [1.0]}, "values has shape"),
        ({"sizes": [1, 0]}, "positive"),
        ({"n_segments": 0}, "n_segments must be at least 1, got 0"),
        ({"n_segments": -1}, "n_segments must be at least 1, got -1"),
    ],
)
def test_refused_maps(options, message):
    given = {"embeddings": np.eye(2), "sizes": [1, 2], "names": ["a", "b"]} | options
    with pytest.raises(ValueError, match=message):
        SegmentMapDisplay.from_arrays(**given)
