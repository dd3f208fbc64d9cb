"""Where segments and their names go in a plane."""

import numpy as np
import scipy.sparse as sp
from sklearn.manifold import TSNE
from sklearn.utils import check_random_state

from sksparse_rec.plotting._text import text_height, text_width, wrap

# Fewer rows than this are placed by their two main directions.
FEW = 6
PERPLEXITY = 15
# Share of the plane that circles cover, and the largest and smallest radius in points.
COVERED, LARGEST_SHARE, SMALLEST = 0.06, 0.08, 2.5
# Share of the plane that circles and names may fill together: more finds no place.
FILLED = 0.6
# Points between boxes, between a circle and its name, and from a name to the circles of
# others and to other names.
BOX_GAP, NAME_GAP, OTHER_GAP, TEXT_GAP = 5.0, 1.0, 4.0, 2.5
# How evenly positions are spread before boxes are pushed.
EVENNESS = 0.5
# Points by which boxes may overlap in the end; less than the gap around them.
TOLERANCE = 0.5
# How far boxes are pushed at once, of what they overlap by, and how often.
STEP, N_PUSHES = 0.5, 600
# From a circle to its name, in the order of preference.
WAYS = np.array(
    [(0, -1), (0, 1), (1, 0), (-1, 0), (1, -1), (-1, -1), (1, 1), (-1, 1)], float
)
# Of names: points of a line and lines, at most.
NAME_WIDTH, NAME_LINES = 84.0, 3


def plane_positions(embeddings, random_state=0):
    """Place rows in a plane so that rows of large cosine are near each other.

    Parameters
    ----------
    embeddings : {ndarray, csr_array} of shape (n, n_components)
        Rows of unit length.
    random_state : int, RandomState instance or None, default=0

    Returns
    -------
    positions : ndarray of shape (n, 2), float64
    """
    cosines = embeddings @ embeddings.T
    cosines = cosines.toarray() if sp.issparse(cosines) else np.asarray(cosines)
    n = len(cosines)
    if n < FEW:
        return _main_directions(cosines)
    random_state = check_random_state(random_state)
    tsne = TSNE(
        perplexity=min(PERPLEXITY, (n - 1) / 3),
        metric="precomputed",
        init="random",
        random_state=random_state,
    )
    distances = np.clip(1 - cosines, 0, 2)
    np.fill_diagonal(distances, 0)
    return tsne.fit_transform(distances).astype(np.float64)


def _main_directions(cosines):
    """Return the two largest components of centred similarities."""
    n = len(cosines)
    centring = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(centring @ cosines @ centring)
    largest = np.argsort(-values)[:2]
    positions = np.zeros((n, 2))
    vectors = vectors[:, largest] * np.sqrt(values[largest].clip(0))
    # A sign that does not depend on the solver.
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), range(len(largest))])
    positions[:, : len(largest)] = vectors * np.where(signs == 0, 1, signs)
    return positions


def circle_radii(sizes, width, height):
    """Return radii in points, of areas in proportion to the sizes."""
    sizes = np.asarray(sizes, dtype=np.float64)
    radii = np.sqrt(COVERED * width * height * sizes / sizes.sum() / np.pi)
    largest = LARGEST_SHARE * min(width, height)
    radii *= min(1, largest / radii.max())
    return np.maximum(radii, SMALLEST)


def plan_names(names, radii, area, sizes):
    """Decide how names are broken, how large they are, and which get room of their own.

    All in the largest size in which circles and names leave enough of the plane free;
    if there is none, the names of the largest circles in the smallest.

    Parameters
    ----------
    names : list of str
    radii : ndarray of shape (n,)
        Points.
    area : float
        Of the plane, in points.
    sizes : sequence of float
        Font sizes to try, descending.

    Returns
    -------
    texts : list of str
    extents : ndarray of shape (n, 2), float64
        Widths and heights of the texts.
    has_room : ndarray of bool of shape (n,)
    size : float
    """
    for size in sizes:
        lines = [wrap(name, NAME_WIDTH, NAME_LINES, size)[0] for name in names]
        extents = np.array([_extent(text, size) for text in lines])
        taken = np.prod(2 * half_extents(radii, extents), axis=1)
        if taken.sum() <= FILLED * area:
            break
    bare = np.prod(2 * half_extents(radii, np.zeros_like(extents)), axis=1)
    order = np.lexsort((np.arange(len(radii)), -radii))
    total = bare.sum() + np.cumsum((taken - bare)[order])
    has_room = np.zeros(len(names), dtype=bool)
    has_room[order[total <= FILLED * area]] = True
    return ["\n".join(text) for text in lines], extents, has_room, size


def half_extents(radii, extents):
    """Return half the width and height of circles with their names below."""
    width = np.maximum(2 * radii, extents[:, 0])
    height = 2 * radii + extents[:, 1] + NAME_GAP * (extents[:, 1] > 0)
    return (np.column_stack([width, height]) + BOX_GAP) / 2


def scale_positions(positions, halves, width, height):
    """Scale positions to a plane of points, in which boxes around them have room."""
    low = np.minimum(halves, np.array([width, height]) / 2)
    return low + _shares(positions) * (np.array([width, height]) - 2 * low)


def push_apart(centers, halves, width, height):
    """Push boxes apart that overlap, a little further each time.

    Parameters
    ----------
    centers : ndarray of shape (n, 2)
    halves : ndarray of shape (n, 2)
        Half the width and the height of each box.
    width, height : float
        Of the plane.

    Returns
    -------
    centers : ndarray of shape (n, 2), float64
        All boxes are in the plane, and apart if there is room for that.
    """
    low = np.minimum(halves, np.array([width, height]) / 2)
    high = np.array([width, height]) - low
    centers = np.clip(centers, low, high)
    reach = [half[:, None] + half - TOLERANCE for half in halves.T]
    below = np.tri(len(halves), k=-1, dtype=bool)
    for _ in range(N_PUSHES):
        x, y = centers.T
        meet = (np.abs(x[:, None] - x) < reach[0]) & (np.abs(y[:, None] - y) < reach[1])
        i, j = np.nonzero(meet & below)
        if not len(i):
            break
        offsets = centers[i] - centers[j]
        overlaps = halves[i] + halves[j] - np.abs(offsets)
        # Along the axis on which less is missing; of two that coincide, the later one
        # goes down or to the left.
        axis = np.argmin(overlaps, axis=1)
        pair = np.arange(len(i))
        sides = np.where(offsets[pair, axis] > 0, 1, -1)
        pushes = STEP * overlaps[pair, axis] * sides
        moves, counts = np.zeros_like(centers), np.zeros_like(centers)
        for end, sign in ((i, 1), (j, -1)):
            np.add.at(moves, (end, axis), sign * pushes)
            np.add.at(counts, (end, axis), 1)
        centers = np.clip(centers + moves / np.sqrt(counts.clip(1)), low, high)
    return centers


def place_names(extents, centers, radii, frame):
    """Find places for names where they cover neither a circle nor another name.

    Below their circles if there is room, else beside or above. Larger circles go
    first; what finds no place is left out.

    Parameters
    ----------
    extents : ndarray of shape (n, 2)
        Width and height of each name; 0 for none.
    centers : ndarray of shape (n, 2)
    radii : ndarray of shape (n,)
    frame : (float, float)
        Width and height of the plane.

    Returns
    -------
    places : dict of int to ndarray of shape (2,)
        The centers of the names, by circle.
    """
    places, taken = {}, np.empty((0, 4))
    for i in np.lexsort((np.arange(len(radii)), -radii)).tolist():
        if not extents[i].any():
            continue
        half, gap = extents[i] / 2, radii[i] + NAME_GAP
        reach = np.where(np.abs(WAYS).sum(axis=1) > 1, 0.71, 1)[:, None] * gap + half
        middles = centers[i] + WAYS * reach
        low, high = middles - half, middles + half
        free = (low >= 0).all(axis=1) & (high <= frame).all(axis=1)
        nearest = centers.clip(low[:, None], high[:, None])
        apart = np.hypot(*np.moveaxis(nearest - centers, 2, 0)) - radii
        apart[:, i] = np.inf
        covers = apart < OTHER_GAP
        meets = taken[:, :2] - TEXT_GAP < high[:, None]
        meets &= low[:, None] < taken[:, 2:] + TEXT_GAP
        free &= ~covers.any(axis=1) & ~meets.all(axis=2).any(axis=1)
        if free.any():
            best = int(np.argmax(free))
            places[i] = middles[best]
            taken = np.vstack([taken, [*low[best], *high[best]]])
    return places


def _shares(positions):
    """Return positions from 0 to 1, half as they are and half evenly spread."""
    span = np.ptp(positions, axis=0)
    linear = (positions - positions.min(axis=0)) / np.where(span > 0, span, 1)
    ranks = np.argsort(np.argsort(positions, axis=0, kind="stable"), axis=0)
    ranks = ranks / max(1, len(positions) - 1)
    return np.where(span > 0, EVENNESS * ranks + (1 - EVENNESS) * linear, 0.5)


def _extent(lines, size):
    width = max((text_width(line, size) for line in lines), default=0)
    return width, text_height(len(lines), size) if lines else 0
