"""ConceptMap on planted concepts, and at every edge."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import Bunch

from sksparse_rec import ConceptMap, LatentSegments
from sksparse_rec.steering._concept_scores import METHODS

CONTAINERS = [
    sp.csr_array,
    sp.csr_matrix,
    sp.csc_array,
    sp.coo_matrix,
    sp.lil_array,
    np.asarray,
    np.ndarray.tolist,
    pd.DataFrame,
]
NAMES = ["tea", "coffee", "milk", "water"]


@pytest.fixture(scope="module")
def planted():
    """Items of four concepts; each has a side of a neuron, and others are noise.

    Concept 0 is on the positive side of neuron 5, 1 on its negative side, 2 on the
    negative side of neuron 1, and 3 shares the neurons 2 and 6. Neuron 0 is dead.
    """
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 25)
    X = rng.normal(size=(100, 8)) * (rng.random((100, 8)) < 0.4) * 0.5
    X[:, [0, 1, 2, 5, 6]] *= 0.1
    X[:, 0] = 0
    X[labels == 0, 5] = 2 + rng.random(25)
    X[labels == 1, 5] = -1 - rng.random(25)
    X[labels == 2, 1] = -2 - rng.random(25)
    X[75:90, 2] = 2
    X[90:, 6] = 1
    return Bunch(X=X, Y=np.eye(4)[labels], labels=labels)


@pytest.fixture(scope="module")
def fitted(planted):
    """Tests must not change it."""
    return ConceptMap(n_neurons=2).fit(sp.csr_array(planted.X), planted.Y, NAMES)


@pytest.mark.parametrize("method", METHODS)
def test_planted_concepts_are_found(planted, method):
    concept_map = ConceptMap(method=method, n_neurons=2).fit(planted.X, planted.Y)
    best = [concept_map.neurons_of(concept, 1) for concept in range(4)]
    assert [neurons.item() for neurons, _ in best] == [5, 5, 1, 2]
    assert [np.sign(scores.item()) for _, scores in best] == [1, -1, -1, 1]
    neurons, scores = concept_map.neurons_of(3, 2)
    np.testing.assert_array_equal(neurons, [2, 6])
    assert scores.min() > 0
    assert 0 not in concept_map.scores_.indices


def test_weights_are_unit_rows_of_the_largest_scores(planted, fitted):
    scores, weights = fitted.scores_.toarray(), fitted.weights_.toarray()
    assert np.diff(fitted.scores_.indptr).max() > 2
    np.testing.assert_array_equal(np.diff(fitted.weights_.indptr), 2)
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1)
    for row, weight in zip(scores, weights, strict=True):
        kept = np.flatnonzero(weight)
        np.testing.assert_array_equal(kept, np.sort(np.argsort(-np.abs(row))[:2]))
        np.testing.assert_allclose(weight[kept], row[kept] / np.linalg.norm(row[kept]))
    one = ConceptMap(n_neurons=1).fit(planted.X, planted.Y)
    np.testing.assert_allclose(np.abs(one.weights_.data), 1, rtol=1e-15)
    np.testing.assert_array_equal(one.weights_.indices, [5, 5, 1, 2])


def test_fitted_attributes(fitted):
    for matrix in (fitted.scores_, fitted.weights_):
        assert isinstance(matrix, sp.csr_array)
        assert matrix.shape == (4, 8)
        assert matrix.dtype == np.float64
        assert matrix.has_sorted_indices
    np.testing.assert_array_equal(fitted.concept_counts_, 25)
    assert fitted.concept_counts_.dtype == np.int64
    assert fitted.n_features_in_ == 8
    assert fitted.concept_names_.tolist() == NAMES


def test_both_directions_agree(fitted):
    scores = fitted.scores_.toarray()
    for concept, name in enumerate(NAMES):
        neurons, own = fitted.neurons_of(name)
        assert neurons.dtype == np.int64
        np.testing.assert_array_equal(own, scores[concept, neurons])
        assert np.all(np.diff(np.abs(own)) <= 0)
        assert len(neurons) == np.count_nonzero(scores[concept])
    for neuron in range(8):
        names, own = fitted.concepts_of(neuron)
        positions = [fitted.position_of(name) for name in names]
        np.testing.assert_array_equal(own, scores[positions, neuron])
        assert np.all(np.diff(np.abs(own)) <= 0)
        assert len(names) == np.count_nonzero(scores[:, neuron])
    np.testing.assert_array_equal(fitted.concepts_of(5, 2)[0], ["tea", "coffee"])
    assert len(fitted.concepts_of(0)[0]) == len(fitted.concepts_of(0)[1]) == 0


def test_names_of_neurons(fitted):
    names = fitted.neuron_names_.tolist()
    # Both sides of neuron 5 have a concept: the one with the larger score names it.
    assert [names[j] for j in (0, 1, 2, 5, 6)] == [
        "neuron 0",
        "not milk",
        "water",
        "tea",
        "water (2)",
    ]
    assert [names[j] for j in (3, 4, 7)] == ["neuron 3", "neuron 4", "neuron 7"]
    np.testing.assert_array_equal(fitted.neuron_concepts_[5], [0, 1])
    np.testing.assert_array_equal(fitted.neuron_concepts_[1], [-1, 2])
    np.testing.assert_array_equal(fitted.neuron_concepts_[0], [-1, -1])


@pytest.mark.parametrize(
    ("active", "others", "speaks"),
    [
        # Of 20 items, 4 have the concept; the activation is 1 for each.
        (4, 0, True),
        (2, 2, True),
        (2, 3, False),
        (1, 0, False),
        (0, 4, False),
    ],
)
def test_when_a_neuron_speaks_for_a_concept(active, others, speaks):
    X, y = np.zeros((20, 1)), np.zeros((20, 1))
    y[:4] = 1
    X[:active], X[4 : 4 + others] = 1, 1
    concept_map = ConceptMap(method="mean").fit(X, y, ["tea"])
    assert concept_map.neuron_names_[0] == ("tea" if speaks else "neuron 0")


def test_a_concept_of_most_items_has_no_neuron():
    X, y = np.zeros((20, 1)), np.zeros((20, 1))
    X[:5] = 1
    for n_items, name in ((10, "tea"), (11, "neuron 0")):
        y[:n_items] = 1
        concept_map = ConceptMap().fit(X, y, ["tea"])
        assert concept_map.neuron_names_[0] == name


def test_names_are_unique_whatever_concepts_are_called():
    X = np.repeat(np.eye(3), 4, axis=0)[:, [0, 0, 1, 2]]
    X[:, 3] = 0
    names = ["tea", "tea (2)", "neuron 3"]
    labels = np.repeat(np.arange(3), 4)
    concept_map = ConceptMap().fit(X, np.eye(3)[labels], names)
    found = concept_map.neuron_names_.tolist()
    assert found == ["tea", "tea (3)", "tea (2)", "neuron 3"]


def test_segments_are_named_by_their_side(planted, fitted):
    X = sp.csr_array(planted.X[planted.labels < 3])
    segments = LatentSegments(namer=fitted.name_segment, merge_threshold=None).fit(X)
    found = dict(zip(segments.segment_ids_, segments.segment_names_, strict=True))
    assert found == {"5+": "tea", "5-": "coffee", "1-": "milk"}
    copy = clone(segments).fit(X)
    np.testing.assert_array_equal(copy.segment_names_, segments.segment_names_)
    assert fitted.name_segment(Bunch(latent=1, sign=1)) == "neuron 1+"
    assert fitted.name_segment(Bunch(latent=3, sign=-1)) == "neuron 3-"
    with pytest.raises(ValueError, match="latent 8, but this map was fitted on 8"):
        fitted.name_segment(Bunch(latent=8, sign=1))


def assert_same(first, second):
    for name in ("scores_", "weights_"):
        one, other = getattr(first, name), getattr(second, name)
        np.testing.assert_array_equal(one.toarray(), other.toarray())
        np.testing.assert_array_equal(one.indptr, other.indptr)
    for name in ("concept_names_", "neuron_names_", "concept_counts_"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_change_nothing(planted, container):
    expected = ConceptMap().fit(planted.X, planted.Y)
    for interface in ("sparray", "spmatrix"):
        with config_context(sparse_interface=interface):
            found = ConceptMap().fit(container(planted.X), container(planted.Y))
            assert_same(found, expected)
            assert isinstance(found.weights_, sp.csr_array)


def test_input_is_left_alone_and_stored_zeros_do_not_count(planted):
    rows, columns = np.nonzero(planted.X)
    entries = (
        np.append(np.tile(planted.X[rows, columns] / 2, 2), [0.0]),
        (
            np.concatenate([rows, rows, [0]]),
            np.concatenate([columns, columns, [0]]),
        ),
    )
    X = sp.csr_array(sp.coo_array(entries, shape=planted.X.shape))
    X.data.flags.writeable = False
    Y = sp.csr_array(planted.Y)
    Y.data = np.append(Y.data, 0.0)
    Y.indices = np.append(Y.indices, 0).astype(np.int32)
    Y.indptr = Y.indptr.copy()
    Y.indptr[-1] += 1
    before = Y.data.copy()
    found = ConceptMap().fit(X, Y)
    assert_same(found, ConceptMap().fit(planted.X, planted.Y))
    np.testing.assert_array_equal(Y.data, before)


def test_names_come_from_columns_and_classes(planted):
    frame = pd.DataFrame(planted.Y, columns=NAMES)
    found = ConceptMap().fit(planted.X, frame)
    assert found.concept_names_.tolist() == NAMES
    other = ConceptMap().fit(planted.X, frame, [name.upper() for name in NAMES])
    assert other.concept_names_.tolist() == ["TEA", "COFFEE", "MILK", "WATER"]
    numbered = ConceptMap().fit(planted.X, pd.DataFrame(planted.Y))
    assert numbered.concept_names_[0] == "concept0"
    labels = np.array(NAMES)[planted.labels]
    classes = ConceptMap().fit(planted.X, labels)
    assert classes.concept_names_.tolist() == sorted(NAMES)
    np.testing.assert_array_equal(
        classes.scores_[[classes.position_of("tea")]].toarray(),
        found.scores_[[0]].toarray(),
    )
    flags = ConceptMap().fit(planted.X, frame > 0)
    assert_same(flags, found)


def test_weights_of_items_count():
    X = np.array([[1.0, 0], [0, 1], [0, 0]])
    scores = ConceptMap(method="mean").fit(X, [[3.0], [1.0], [0.0]]).scores_
    np.testing.assert_allclose(scores.toarray(), [[0.75, 0.25]])


def test_feature_names_are_recorded(planted):
    X = pd.DataFrame(planted.X, columns=[f"n{j}" for j in range(8)])
    found = ConceptMap().fit(X, planted.Y)
    assert found.feature_names_in_.tolist() == list(X.columns)


def test_a_concept_without_items_has_no_neurons(planted):
    Y = np.column_stack([planted.Y, np.zeros(100)])
    found = ConceptMap().fit(planted.X, Y, [*NAMES, "none"])
    neurons, scores = found.neurons_of("none")
    assert neurons.shape == scores.shape == (0,)
    assert neurons.dtype == np.int64
    assert found.concept_counts_[4] == 0
    assert found.weights_.indptr[5] == found.weights_.indptr[4]
    nothing = ConceptMap().fit(np.zeros((3, 2)), np.eye(3))
    assert nothing.scores_.nnz == nothing.weights_.nnz == 0
    assert nothing.neuron_names_.tolist() == ["neuron 0", "neuron 1"]
    assert nothing.to_frame().shape == (0, 4)


def test_ties_go_to_the_lower_neuron_and_the_larger_concept():
    X = np.zeros((12, 4))
    X[:4, 1:] = 1
    Y = np.zeros((12, 3))
    Y[:2, 0], Y[:4, 1], Y[:2, 2] = 1, 1, 1
    found = ConceptMap(method="mean", n_neurons=2).fit(X, Y)
    np.testing.assert_array_equal(found.neurons_of(0)[0], [1, 2, 3])
    np.testing.assert_array_equal(found.weights_[[0]].indices, [1, 2])
    names, scores = found.concepts_of(2)
    np.testing.assert_array_equal(scores, 1)
    assert names.tolist() == ["concept1", "concept0", "concept2"]
    # The larger concept names them, the lower neuron first.
    assert found.neuron_names_.tolist() == [
        "neuron 0",
        "concept1",
        "concept1 (2)",
        "concept1 (3)",
    ]
    # Opposite sides of the same size: the positive one.
    mirrored = np.array([[2.0], [-2.0], [0], [0]])
    found = ConceptMap().fit(mirrored, [[1], [1], [0], [0]])
    assert found.scores_[0, 0] > 0


def test_positions(fitted):
    assert fitted.position_of("milk") == fitted.position_of(2) == 2
    assert fitted.position_of(np.int64(2)) == 2
    with pytest.raises(ValueError, match="unknown concept 'cofee': did you mean 'cof"):
        fitted.position_of("cofee")
    with pytest.raises(ValueError, match="concepts are 'tea', 'coffee', 'milk'"):
        fitted.position_of("xyz")
    for position in (4, -1):
        with pytest.raises(ValueError, match="positions go from 0 to 3"):
            fitted.neurons_of(position)
    for wrong in (True, 1.0, None):
        with pytest.raises(ValueError, match="unknown concept"):
            fitted.position_of(wrong)
    for neuron in (8, -1, "tea", True):
        with pytest.raises(ValueError, match="positions go from 0 to 7"):
            fitted.concepts_of(neuron)
    for k in (0, 1.5):
        with pytest.raises(ValueError, match="k must be None or an int of at least 1"):
            fitted.neurons_of("tea", k)
        with pytest.raises(ValueError, match="k must be None"):
            fitted.concepts_of(5, k)


def test_frame(fitted):
    frame = fitted.to_frame()
    assert list(frame.columns) == ["concept", "neuron", "score", "weight"]
    assert len(frame) == fitted.scores_.nnz
    tea = frame[frame.concept == "tea"]
    neurons, scores = fitted.neurons_of("tea")
    np.testing.assert_array_equal(tea.neuron, neurons)
    np.testing.assert_array_equal(tea.score, scores)
    np.testing.assert_array_equal(
        tea.weight, fitted.weights_[[0]].toarray()[0, neurons]
    )
    assert frame.concept.drop_duplicates().tolist() == NAMES
    short = fitted.to_frame(1)
    np.testing.assert_array_equal(short.neuron, [5, 5, 1, 2])
    assert np.all(short.weight != 0)


@pytest.mark.parametrize(
    ("y", "names", "message"),
    [
        (np.eye(4)[:3], None, "y has 3 rows, but there are 4 items"),
        (np.eye(4), ["a", "b"], "concept_names has 2 names, but there are 4 concepts"),
        (np.eye(4), list("abcb"), r"concept 'b' is there 2 times, in the columns \[1,"),
        (-np.eye(4), None, r"y contains a negative value: y\[0, 0\] is -1.0"),
        (np.diag([0, np.nan, 0, 1]), None, r"y contains NaN: y\[1, 1\] is nan"),
        (np.diag([0, 1, np.inf, 1]), None, r"y contains infinity: y\[2, 2\] is inf"),
        (sp.csr_array(-np.eye(4)), None, r"y\[0, 0\] is -1.0"),
        (None, None, "requires y to be passed, but the target y is None"),
        ([1.0, np.nan, 2.0, 3.0], None, "Input y contains NaN"),
        (["a", "b", "c"], None, "y has 3 rows, but there are 4 items"),
        (["a", None, "b", "a"], None, r"y\[1\] has no class"),
        ([["a"], ["a", "b"], [], ["b"]], None, "MultiLabelBinarizer makes a matrix"),
        (np.eye(4), "abcd", "concept_names is the string 'abcd'"),
        (list("aabb"), ["x"], "concept_names has 1 names, but there are 2 concepts"),
    ],
)
def test_bad_concepts(y, names, message):
    concept_map = ConceptMap().fit(np.eye(3), np.eye(3))
    before = dict(vars(concept_map))
    with pytest.raises(ValueError, match=message):
        concept_map.fit(np.eye(4), y, names)
    assert vars(concept_map) == before


def test_bad_activations_and_parameters():
    with pytest.raises(ValueError, match=r"X\[1, 0\] is nan"):
        ConceptMap().fit([[1.0], [np.nan]], [[1], [0]])
    with pytest.raises(ValueError, match="'n_neurons' parameter"):
        ConceptMap(n_neurons=0).fit(np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match="'method' parameter"):
        ConceptMap(method="tfidf").fit(np.eye(2), np.eye(2))
    duplicated = pd.DataFrame(np.eye(2), columns=["a", "a"])
    with pytest.raises(ValueError, match="unique column names"):
        ConceptMap().fit(np.eye(2), duplicated)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.neurons_of(0),
        lambda m: m.concepts_of(0),
        lambda m: m.position_of(0),
        lambda m: m.to_frame(),
        lambda m: m.name_segment(Bunch(latent=0, sign=1)),
    ],
)
def test_nothing_works_before_fit(call):
    with pytest.raises(NotFittedError):
        call(ConceptMap())
