"""Recall of neighbours: exact, in blocks, for estimators of any kind."""

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from matplotlib import pyplot
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from sksparse_rec import CompresSAE, top_items
from sksparse_rec._sparse import top_columns
from sksparse_rec.plotting import CompressionTradeoffDisplay, _neighbors
from sksparse_rec.plotting._neighbors import (
    NearestRows,
    recall,
    row_blocks,
    unit_rows,
)

N_FEATURES, K = 12, 10
SPACES = ("sparse", "reconstructed", "asymmetric")


class TopEntries:
    """Keeps the largest entries of the products with fixed rows."""

    def __init__(self, n_nonzero=8, n_components=40, scale=1.0):
        self.n_nonzero_ = n_nonzero
        rng = np.random.default_rng(1)
        D = rng.normal(size=(n_components, N_FEATURES))
        self.components_ = D / np.linalg.norm(D, axis=1, keepdims=True)
        self.n_rows = []

    def transform(self, X, *, n_nonzero=None):
        self.n_rows.append(X.shape[0])
        n = self.n_nonzero_ if n_nonzero is None else n_nonzero
        Z = np.asarray(X @ self.components_.T, dtype=float)
        threshold = -np.sort(-np.abs(Z), axis=1)[:, [n - 1]]
        return sp.csr_array(np.where(np.abs(Z) >= threshold, Z, 0))

    def inverse_transform(self, S):
        return S @ self.components_


@pytest.fixture(scope="module", name="X")
def vectors():
    rng = np.random.default_rng(0)
    return rng.normal(size=(90, N_FEATURES)) + rng.normal(size=N_FEATURES)


@pytest.fixture(scope="module", name="X_queries")
def other_vectors():
    rng = np.random.default_rng(2)
    return rng.normal(size=(20, N_FEATURES))


def curves(*args, k=K, **options):
    display = CompressionTradeoffDisplay.from_estimators(*args, k=k, **options)
    return {name: (x.tolist(), y.tolist()) for name, (x, y) in display.curves.items()}


def neighbors(Q, X, exclude_self):
    """Search by brute force, ties to the lower position."""
    Q, X = (np.asarray(Z, dtype=float) for Z in (Q, X))
    cosines = Q @ X.T / np.linalg.norm(Q, axis=1)[:, None]
    cosines /= np.where(np.any(X, axis=1), np.linalg.norm(X, axis=1), 1)
    if exclude_self:
        np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1, kind="stable")[:, :K]


def overlap(found, true):
    return np.mean([len(set(f) & set(t)) / len(t) for f, t in zip(found, true)])  # noqa: B905


def expected(model, X, queries, n_nonzero, space):
    codes = [model.transform(Z, n_nonzero=n_nonzero) for Z in (queries, X)]
    if space == "sparse":
        vectors = [S.toarray() for S in codes]
    else:
        vectors = [model.inverse_transform(S) for S in codes]
    if space == "asymmetric":
        length = np.linalg.norm(queries, axis=1, keepdims=True)
        vectors[0] = queries / length - getattr(model, "mean_", 0)
    itself = queries is X
    return overlap(neighbors(*vectors, itself), neighbors(queries, X, itself))


# One model at several levels


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("working_memory", [1024, 0.01, 1e-6])
def test_recall_equals_brute_force_in_all_spaces(X, X_queries, own, working_memory):
    model = TopEntries()
    queries = X if own else X_queries
    with sklearn.config_context(working_memory=working_memory):
        found = curves(model, X, None if own else X_queries, space=SPACES)
    assert list(found) == [f"TopEntries, {space}" for space in SPACES]
    for space in SPACES:
        sizes, recalls = found[f"TopEntries, {space}"]
        assert sizes == [8, 16, 32]
        assert recalls == pytest.approx(
            [expected(model, X, queries, n, space) for n in (2, 4, 8)]
        )


def test_queries_as_they_are_are_centred_where_codes_are(X, X_queries):
    model = TopEntries()
    model.mean_ = np.full(N_FEATURES, 0.2)
    found = curves(model, X, X_queries, n_nonzero=4, space="asymmetric")
    recall = expected(model, X, X_queries, 4, "asymmetric")
    assert found["TopEntries"][1] == [pytest.approx(recall)]
    del model.mean_
    assert recall != expected(model, X, X_queries, 4, "asymmetric")


@pytest.mark.parametrize("space", ["sparse", "reconstructed"])
def test_one_space_needs_no_mention(X, space):
    found = curves({"mine": TopEntries()}, X, space=space)
    assert list(found) == ["mine"]
    assert curves({"mine": TopEntries()}, X, space=[space, space]) == found
    both = curves({"mine": TopEntries()}, X)
    assert list(both) == ["mine, sparse", "mine, reconstructed"]
    assert found["mine"] == both[f"mine, {space}"]


def test_given_levels(X):
    sizes, _ = curves(TopEntries(), X, n_nonzero=[5, 3, 3], space="sparse")[
        "TopEntries"
    ]
    assert sizes == [12, 20]
    assert curves(TopEntries(1), X, space="sparse")["TopEntries"][0] == [4]


def test_blocks_of_rows_fit_working_memory(X):
    model = TopEntries()
    with sklearn.config_context(working_memory=0.01):
        curves(model, X, n_queries=5, n_nonzero=[2])
    assert max(model.n_rows) < 40
    # The queries, and each row once.
    assert sum(model.n_rows) == 5 + len(X)


def test_without_loss_recall_is_one(X):
    identity = FunctionTransformer(sp.csr_array, accept_sparse=True).fit(X)
    sizes, recalls = curves(identity, X)["FunctionTransformer, sparse"]
    assert sizes == [4 * N_FEATURES]
    assert recalls == [1]


@pytest.mark.parametrize("center", [False, True])
def test_compressed_embeddings_find_what_the_model_finds(X, X_queries, center):
    model = CompresSAE(
        48, n_nonzero=8, max_iter=4, batch_size=32, center=center, random_state=0
    ).fit(X)
    found = curves({"mine": model}, X, X_queries, space=SPACES)
    true = neighbors(X_queries, X, False)
    for space in SPACES:
        sizes, recalls = found[f"mine, {space}"]
        assert sizes == [8, 16, 32]
        ids, _ = top_items(model.recommend(X_queries, k=K, space=space))
        assert recalls[-1] == pytest.approx(overlap(ids, true))
    assert recalls[-1] > 0.5


# Other estimators


def test_a_list_is_a_curve_of_models(X):
    models = [TruncatedSVD(n, random_state=0).fit(X) for n in (8, 2)]
    found = curves(models, X)
    assert list(found) == ["TruncatedSVD"]
    sizes, recalls = found["TruncatedSVD"]
    assert sizes == [16, 4]
    Z = models[1].transform(X)
    assert recalls[1] == pytest.approx(
        overlap(neighbors(Z, Z, True), neighbors(X, X, True))
    )
    assert recalls[0] > recalls[1]


def test_a_list_of_models_with_levels_is_evaluated_as_fitted(X):
    found = curves([TopEntries(8), TopEntries(4)], X)
    assert found["TopEntries, sparse"][0] == [32, 16]


def test_names_for_curves(X):
    estimators = {
        "sparse": TopEntries(),
        "PCA": [make_pipeline(Normalizer(), PCA(n)).fit(X) for n in (2, 4)],
        "one": PCA(3).fit(X),
    }
    found = curves(estimators, X, space="sparse", highlight="sparse")
    assert {name: curve[0] for name, curve in found.items()} == {
        "sparse": [8, 16, 32],
        "PCA": [4, 8],
        "one": [6],
    }


def test_sparse_codes_without_reconstruction(X):
    class Encoder:
        transform = TopEntries().transform

    assert list(curves(Encoder(), X)) == ["Encoder, sparse"]
    for space in SPACES[1:]:
        message = f"Encoder has no inverse_transform, which space='{space}'"
        with pytest.raises(ValueError, match=message):
            curves(Encoder(), X, space=space)


# Bytes


def test_bytes_count_what_is_stored(X):
    class Half(TopEntries):
        def transform(self, X, *, n_nonzero=None):
            codes = super().transform(X, n_nonzero=n_nonzero).tolil()
            codes[::2] = 0
            return codes.tocsr()

    assert curves(Half(), X, n_nonzero=8)["Half, sparse"][0] == [16]


def test_bytes_of_an_entry(X):
    assert curves(TopEntries(), X, n_nonzero=8, bytes_per_nonzero=8)[
        "TopEntries, sparse"
    ][0] == [64]
    assert curves(PCA(4).fit(X), X, bytes_per_value=1)["PCA"][0] == [4]
    wide = TopEntries()
    wide.components_ = np.vstack(
        [wide.components_, np.zeros((1 << 16, N_FEATURES))]
    ).astype(np.float32)
    assert curves(wide, X[:20], n_nonzero=8)["TopEntries, sparse"][0] == [48]


def test_the_uncompressed_vectors_are_in_the_picture(X):
    display = CompressionTradeoffDisplay.from_estimators(TopEntries(), X, k=K)
    assert display.uncompressed == (2 * N_FEATURES, 1)
    assert "recall@10" in display.ax_.get_ylabel()
    assert display.ax_.get_xlabel() == "bytes per vector (times smaller)"


# Inputs


@pytest.mark.parametrize("container", [sp.csr_array, sp.coo_matrix, sp.csc_array])
def test_sparse_vectors(X, container):
    X = np.where(np.abs(X) > 1, X, 0)
    dense, sparse = (curves(TopEntries(), Z, space=SPACES) for Z in (X, container(X)))
    for name, (sizes, recalls) in dense.items():
        assert sparse[name][0] == sizes
        assert sparse[name][1] == pytest.approx(recalls)


def test_a_memory_map_of_halves(X, tmp_path):
    mapped = np.memmap(tmp_path / "X", np.float16, "w+", shape=X.shape)
    mapped[:] = X
    assert curves(TopEntries(), mapped) == curves(TopEntries(), np.asarray(mapped))


def test_frames_keep_their_names(X):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"x{i}" for i in range(N_FEATURES)])
    # A fitted estimator warns where names are missing.
    model = TruncatedSVD(4, random_state=0).fit(frame)
    assert curves(model, frame) == curves(
        TruncatedSVD(4, random_state=0).fit(X), frame.to_numpy()
    )
    assert curves(model, frame, frame.iloc[:7])


def test_lists(X):
    model = PCA(3).fit(X)
    assert curves(model, X.tolist(), X[:9].tolist()) == curves(model, X, X[:9])


def test_huge_and_tiny_values_have_neighbours_too(X):
    scale = np.full(len(X), 1.0)
    scale[::2], scale[1::3] = 1e30, 1e-30
    scaled = (X * scale[:, None]).astype(np.float32)
    model = make_pipeline(FunctionTransformer(unit_rows), PCA(4)).fit(X)
    assert curves(model, scaled)["Pipeline"][1] == pytest.approx(
        curves(model, X)["Pipeline"][1]
    )


def test_queries_of_zeros_are_left_out(X, X_queries):
    with_zeros = np.vstack([np.zeros((3, N_FEATURES)), X_queries])
    assert curves(TopEntries(), X, with_zeros) == curves(TopEntries(), X, X_queries)
    X = np.vstack([X, np.zeros((5, N_FEATURES))])
    assert curves(TopEntries(), X, n_nonzero=8)


def test_queries_are_drawn_by_the_seed(X):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    drawn = [curves(TopEntries(), X, n_queries=9, random_state=i) for i in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_k_is_cut_to_the_other_rows(X):
    display = CompressionTradeoffDisplay.from_estimators(
        TopEntries(), X[:6], n_nonzero=1
    )
    assert "recall@5" in display.ax_.get_ylabel()
    np.testing.assert_array_equal(display.curves["TopEntries, sparse"][1], [1])


# What is refused


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_must_be_finite(X, bad):
    X = X.copy()
    X[80, 3] = bad
    message = rf"NaN or infinity: X\[80, 3\] is {bad}"
    for container in (np.array, sp.csr_array):
        with pytest.raises(ValueError, match=message):
            curves(TopEntries(), container(X), np.ones((2, N_FEATURES)))
    with pytest.raises(ValueError, match=rf"queries\[80, 3\] is {bad}"):
        curves(TopEntries(), np.ones((2, N_FEATURES)), X)
    assert not pyplot.get_fignums()


def test_an_estimator_must_be_fitted(X):
    with pytest.raises(NotFittedError):
        curves(PCA(3), X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "dense"}, r"space must be .*'asymmetric'\), got 'dense'"),
        ({"space": ["sparse", "dense"]}, r"space must be .* got 'dense'"),
        ({"space": ()}, r"space must be .* got \(\)"),
        ({"k": 0}, "k must be 1 at least, got 0"),
        ({"n_nonzero": [4, 0]}, r"n_nonzero must be 1 at least, got \[4, 0\]"),
        ({"X": np.ones((1, N_FEATURES))}, "one row"),
        ({"X": np.zeros((5, N_FEATURES))}, "all queries are zeros"),
        ({"estimators": []}, "estimators is empty"),
        ({"estimators": {}}, "estimators is empty"),
        ({"estimators": [TopEntries()], "n_nonzero": 4}, "for an estimator alone"),
    ],
)
def test_refused(X, options, message):
    options = {"estimators": TopEntries(), "X": X} | options
    with pytest.raises(ValueError, match=message):
        CompressionTradeoffDisplay.from_estimators(**options)


# The search


@pytest.mark.parametrize("piece", [1, 2048])
@pytest.mark.parametrize("k", [1, 3, 7, 9])
def test_ties_go_to_the_lower_position_whatever_the_blocks(k, piece, monkeypatch):
    monkeypatch.setattr(_neighbors, "PIECE", piece)
    rng = np.random.default_rng(k)
    similarity = rng.integers(0, 3, size=(6, 12)).astype(np.float32)
    excluded = np.arange(6)
    masked = similarity.copy()
    masked[excluded, excluded] = -np.inf
    first = np.sort(np.argsort(-masked, axis=1, kind="stable")[:, :k], axis=1)
    for step in (1, 3, 12):
        nearest = NearestRows(6, k, excluded)
        for start in range(0, 12, step):
            nearest.update(similarity[:, start : start + step].copy(), start)
        np.testing.assert_array_equal(nearest.ids, first)
    np.testing.assert_array_equal(top_columns(masked, k), first)


def test_recall_of_ids():
    true = np.array([[0, 1, 2], [3, 4, 5]])
    assert recall(np.array([[2, 7, 1], [0, 1, 2]]), true) == pytest.approx(2 / 6)
    assert recall(true[:, ::-1], true) == 1


def test_row_blocks_are_all_rows():
    with sklearn.config_context(working_memory=1):
        blocks = row_blocks(10, 2**20 / 4)
        assert [block.stop - block.start for block in blocks] == [4, 4, 2]
        assert len(row_blocks(3, 2**30)) == 3


def test_unit_rows_of_zeros_stay():
    X = np.array([[0, 0], [3, 4]], dtype=np.float16)
    sparse = sp.coo_array(X.astype(np.float32))
    for rows in (unit_rows(X), unit_rows(sparse).toarray()):
        np.testing.assert_allclose(rows, [[0, 0], [0.6, 0.8]], rtol=1e-6)
        assert rows.dtype == np.float32


def test_at_least_one_query_is_drawn():
    X = np.eye(6)
    with pytest.raises(ValueError, match="n_queries must be 1 at least, got 0"):
        curves(TopEntries(), X, n_queries=0)
