"""Where segments and their names go in a plane."""

import numpy as np
import scipy.sparse as sp
from sklearn.manifold import TSNE
from sklearn.utils import check_random_state

from sksparse_rec.plotting._text import (
    LINE_SPACING,
    boxes_meet,
    circles_meet,
    text_height,
    text_width,
    wrap,
)

# Fewer rows than this are placed by their two main directions.
FEW = 6
PERPLEXITY = 15
# Share of the plane that circles cover, and the largest and smallest radius in points.
COVERED, LARGEST_SHARE, SMALLEST = 0.16, 0.13, 2.5
# Points between circles, and between a circle and its name.
CIRCLE_GAP, NAME_GAP = 2.0, 2.0
N_PUSHES = 400
# Of names: points of a line and lines, at most, and font sizes.
NAME_WIDTH, NAME_LINES = 88.0, 3


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


def spread_circles(positions, radii, width, height):
    """Scale positions to a box of points, and push circles apart that overlap.

    Returns
    -------
    centers : ndarray of shape (n, 2), float64
        All circles are in the box, and apart if there is room for that.
    """
    low, high = radii[:, None], np.array([width, height]) - radii[:, None]
    span = np.ptp(positions, axis=0)
    shares = (positions - positions.min(axis=0)) / np.where(span > 0, span, 1)
    shares = np.where(span > 0, shares, 0.5)
    centers = low + shares * (high - low)
    apart = radii[:, None] + radii + CIRCLE_GAP
    np.fill_diagonal(apart, 0)
    # Where two coincide, each goes its own way.
    angles = np.arange(len(radii)) * 2.4
    away = np.column_stack([np.cos(angles), np.sin(angles)])
    for _ in range(N_PUSHES):
        offsets = centers[:, None] - centers
        distances = np.linalg.norm(offsets, axis=2)
        overlaps = np.maximum(apart - distances, 0)
        if overlaps.max(initial=0) < 1e-3:
            break
        same = distances < 1e-9
        directions = offsets / np.where(same, 1, distances)[:, :, None]
        directions = np.where(same[:, :, None], away[:, None] - away, directions)
        centers = centers + (0.5 * overlaps[:, :, None] * directions).sum(axis=1)
        centers = np.clip(centers, low, high)
    return centers


def place_names(names, centers, radii, width, height, sizes):
    """Find places for names where they cover neither a circle nor another name.

    Names of larger circles go first, within the circle if they fit, beside it
    otherwise. What finds no place is left out.

    Parameters
    ----------
    names : list of str
    centers : ndarray of shape (n, 2)
    radii : ndarray of shape (n,)
    width, height : float
        Of the box, in points.
    sizes : sequence of float
        Font sizes to try, descending.

    Returns
    -------
    places : dict of int to (text, size, center)
        For each named circle what is written, how large and around which point.
    """
    places, taken = {}, np.empty((0, 4))
    for i in np.lexsort((np.arange(len(radii)), -radii)).tolist():
        others = np.delete(centers, i, axis=0), np.delete(radii, i)
        for size in sizes:
            found = _place(
                str(names[i]), centers[i], radii[i], size, (width, height), others, taken
            )
            if found is not None:
                text, box = found
                center = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
                places[i] = text, size, center
                taken = np.vstack([taken, box])
                break
    return places


def _place(name, center, radius, size, frame, others, taken):
    lines, is_whole = wrap(name, NAME_WIDTH, NAME_LINES, size)
    inner, fits = wrap(name, 1.75 * radius, NAME_LINES + 1, size)
    if fits:
        w, h = _extent(inner, size)
        if np.hypot(w, h) <= 2 * radius:
            return "\n".join(inner), _box(center, w, h)
    if not lines:
        return None
    for w, h, text in [(*_extent(lines, size), "\n".join(lines))]:
        x, y = radius + NAME_GAP + w / 2, radius + NAME_GAP + h / 2
        slant = 0.71 * radius + NAME_GAP
        dx, dy = slant + w / 2, slant + h / 2
        ways = [(x, 0), (-x, 0), (0, y), (0, -y)]
        ways += [(dx, dy), (dx, -dy), (-dx, dy), (-dx, -dy)]
        for way in ways:
            box = _box(center + np.array(way), w, h)
            inside = box[0] >= 0 and box[1] >= 0
            inside &= box[2] <= frame[0] and box[3] <= frame[1]
            if (
                inside
                and not circles_meet(box, *others).any()
                and not boxes_meet(box, taken).any()
            ):
                return text, box
    return None


def _extent(lines, size):
    width = max(text_width(line, size) for line in lines)
    return width, text_height(len(lines), size)


def _box(center, width, height):
    x, y = center
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
