"""The method: what is learned, how it is pruned and explained."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse_rec import top_items
from sksparse_rec.model_selection import holdout_split

WAYS = {
    "anchors": {},
    "anchors, relu": {"loss": "relu"},
    "anchors, linear": {"pruning": "linear", "n_nonzero_start": 12},
    "dense start": {"init": "dense"},
    "dense start, gram": {"init": "dense", "loss": "gram"},
    "dense start, sampled": {"init": "dense", "max_output": 40},
    "anchors, sampled": {"loss": "relu", "max_output": 40},
    "dense": {"n_nonzero": None},
    "dense, relu": {"n_nonzero": None, "loss": "relu"},
    "dense, gram": {"n_nonzero": None, "loss": "gram"},
}


def lengths_of(model):
    return np.diff(model.item_embeddings_.indptr)


# What is learned


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_every_way_of_training_finds_the_planted_clusters(
    make, planted, options, assert_valid_embeddings, popularity_score
):
    model = make(max_iter=4, batch_size=32, **options).fit(planted.train)
    n_nonzero = 16 if options.get("n_nonzero", 4) is None else 4
    assert model.n_nonzero_ == n_nonzero
    assert_valid_embeddings(model, n_nonzero)
    assert model.n_iter_ == len(model.loss_curve_) == 4
    assert model.n_steps_ == 4 * 7
    baseline = popularity_score(planted.train, planted.test)
    assert model.score(planted.test) > baseline + 0.12
    neighbours, _ = top_items(model.similar_items(np.arange(90), k=3))
    same = planted.item_clusters[neighbours] == planted.item_clusters[:, None]
    assert same.mean() > 0.75


@pytest.mark.parametrize("loss", ["gram", "direct", "relu"])
@pytest.mark.parametrize("options", [{}, {"n_nonzero": None}])
def test_training_lowers_the_loss(make, planted, loss, options):
    model = make(loss=loss, max_iter=5, pruning_share=0, dropout=0, **options)
    losses = model.fit(planted.train).loss_curve_
    assert losses[-1] < 0.95 * losses[0]
    assert 0 < losses[-1] < 2


def test_components_are_the_transpose(fitted):
    components = fitted.components_
    assert components.shape == (16, 90)
    assert components.format == "csr"
    assert (components != fitted.item_embeddings_.T).nnz == 0


def test_anchors_name_the_latents(make, planted):
    # Before the values move much, an anchor's largest entry is at its own latent.
    model = make(max_iter=1, learning_rate=1e-6, n_nonzero=8).fit(planted.train)
    assert len(np.unique(model.anchors_)) == 16
    rows = model.item_embeddings_[model.anchors_].toarray()
    np.testing.assert_array_equal(rows.argmax(axis=1), np.arange(16))
    assert np.all(np.diff(model.item_popularity_[model.anchors_]) <= 0)
    dense = make(init="dense", max_iter=1).fit(planted.train)
    np.testing.assert_array_equal(dense.anchors_, -1)


def test_popularity_counts_users(fitted, planted):
    expected = (planted.train.toarray() > 0).sum(axis=0)
    np.testing.assert_array_equal(fitted.item_popularity_, expected)


# Numbers of non-zeros


@pytest.mark.parametrize("init", ["anchors", "dense"])
@pytest.mark.parametrize("n_nonzero", [1, 3, 15, 16, 17, 1000])
def test_n_nonzero_is_reached_and_clipped(
    make, planted, init, n_nonzero, assert_valid_embeddings
):
    model = make(init=init, n_nonzero=n_nonzero).fit(planted.train)
    assert model.n_nonzero_ == min(n_nonzero, 16)
    assert_valid_embeddings(model, min(n_nonzero, 16))
    if n_nonzero < 16:
        assert lengths_of(model).min() == n_nonzero


def test_as_many_nonzeros_as_components_is_the_dense_model(make, planted):
    dense = make(n_nonzero=None).fit(planted.train)
    for n_nonzero in (16, 50):
        model = make(init="dense", n_nonzero=n_nonzero, rewind=False)
        model.fit(planted.train)
        np.testing.assert_allclose(
            model.item_embeddings_.toarray(),
            dense.item_embeddings_.toarray(),
            atol=1e-5,
        )
    # The initialisation from anchors needs a number of non-zeros.
    np.testing.assert_array_equal(dense.anchors_, -1)


@pytest.mark.parametrize("rewind", [True, False])
@pytest.mark.parametrize("n_nonzero", [3, 8, 15])
def test_epochs_after_the_schedule_keep_the_pattern(
    make, planted, rewind, n_nonzero, assert_valid_embeddings
):
    # Above a share of the columns, a pruned pattern is a mask of a dense matrix.
    model = make(
        init="dense", n_nonzero=n_nonzero, rewind=rewind, max_iter=6, pruning_share=0.5
    ).fit(planted.train)
    assert_valid_embeddings(model, n_nonzero)
    losses = model.loss_curve_
    assert losses[-1] <= losses[3]
    A = model.item_embeddings_.toarray() != 0
    for _ in range(2):
        model.partial_fit(planted.train)
    np.testing.assert_array_equal(model.item_embeddings_.toarray() != 0, A)


@pytest.mark.parametrize("pruning", ["constant", "stepwise", "linear", "exponential"])
@pytest.mark.parametrize("rewind", [False, True, "auto"])
@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_schedules_and_rewinding(
    make, planted, pruning, rewind, init, assert_valid_embeddings, popularity_score
):
    seen = []

    class Widths:
        def setup(self, estimator, context):
            pass

        teardown = on_fit_task_begin = setup

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            seen.append(lengths_of(fitted_estimator).max())

    model = make(
        init=init,
        pruning=pruning,
        rewind=rewind,
        max_iter=6,
        pruning_share=0.67,
        batch_size=32,
    ).set_callbacks(Widths())
    model.fit(planted.train)
    # A model taken out of the training is as sparse as asked for.
    assert max(seen) <= 4
    assert_valid_embeddings(model, 4)
    assert np.isfinite(model.loss_curve_).all()
    assert model.score(planted.test) > popularity_score(planted.train, planted.test)


def test_rewinding_changes_the_result(make, planted):
    models = [
        make(init="dense", rewind=rewind, max_iter=4).fit(planted.train)
        for rewind in (True, False)
    ]
    assert (models[0].item_embeddings_ != models[1].item_embeddings_).nnz


@pytest.mark.parametrize("max_output", [1, 40, 89, 90, 10**6])
@pytest.mark.parametrize("loss", ["gram", "direct", "relu"])
def test_sampled_outputs(
    make, planted, max_output, loss, assert_valid_embeddings, popularity_score
):
    options = {"init": "dense", "loss": loss, "batch_size": 4, "max_iter": 2}
    model = make(max_output=max_output, **options).fit(planted.train)
    assert_valid_embeddings(model, 4)
    assert model.score(planted.test) > popularity_score(planted.train, planted.test)
    if max_output >= 90:
        full = make(**options).fit(planted.train)
        assert (full.item_embeddings_ != model.item_embeddings_).nnz == 0


def test_weights_of_interactions_matter(make, tiny):
    ones = (tiny > 0).astype(float)
    weighted = make().fit(tiny)
    assert (weighted.item_embeddings_ != make().fit(ones).item_embeddings_).nnz
    doubled = make().fit(2 * tiny)
    np.testing.assert_allclose(
        doubled.item_embeddings_.toarray(),
        weighted.item_embeddings_.toarray(),
        atol=1e-3,
    )


# Scores and what they are made of


def test_inverse_transform_gives_the_scores_of_recommend(fitted, planted):
    scores = fitted.inverse_transform(fitted.transform(planted.test.astype(float)))
    assert isinstance(scores, np.ndarray)
    R = fitted.recommend(planted.test, k=90, exclude_seen=False)
    np.testing.assert_allclose(R.toarray(), scores, atol=1e-6)
    A = fitted.item_embeddings_.toarray().astype(float)
    np.testing.assert_allclose(scores, planted.test.toarray() @ A @ A.T, atol=1e-5)
    Z = fitted.transform(planted.test[:3]).toarray()
    np.testing.assert_allclose(fitted.inverse_transform(Z), scores[:3], atol=1e-5)


@pytest.mark.parametrize("flavour", ["row", "array", "dense", "flat", "flat sparse"])
def test_explanations_sum_to_the_scores(fitted, planted, flavour):
    row = 3.5 * planted.test[[5]]
    x = {
        "row": sp.csr_matrix(row),
        "array": row,
        "dense": row.toarray(),
        "flat": row.toarray()[0],
        "flat sparse": sp.coo_array(row).reshape(-1),
    }[flavour]
    R = fitted.recommend(row, k=90, exclude_seen=False)
    items = R.indices[::7]
    explanation = fitted.explain(x, items)
    by_latent, by_history = explanation.by_latent, explanation.by_history
    assert by_latent.shape == (len(items), 16)
    assert by_history.shape == (len(items), 90)
    for part in (by_latent, by_history):
        assert sp.issparse(part)
        assert part.format == "csr"
        sums = np.ravel(part.sum(axis=1))
        np.testing.assert_allclose(sums, R.data[::7], atol=1e-6)
    # Only the history contributes, each item by its own embedding.
    assert set(by_history.indices) <= set(row.indices)
    A = fitted.item_embeddings_.toarray().astype(float)
    shares = (A @ A.T)[items] * row.toarray()
    np.testing.assert_allclose(by_history.toarray(), shares, atol=1e-6)
    latents = A[items] * (row.toarray() @ A)
    np.testing.assert_allclose(by_latent.toarray(), latents, atol=1e-6)


def test_explanations_of_repeated_items_and_empty_histories(fitted, planted):
    explanation = fitted.explain(planted.test[[0]], [4, 4, 2])
    by_history = explanation.by_history.toarray()
    np.testing.assert_array_equal(by_history[0], by_history[1])
    assert fitted.explain(planted.test[[0]], 4).by_latent.shape == (1, 16)
    nothing = fitted.explain(np.zeros(90), [1, 2])
    assert nothing.by_latent.sum() == nothing.by_history.sum() == 0
    with pytest.raises(ValueError, match="one user, got 2 rows"):
        fitted.explain(planted.test[:2], [1])


@pytest.mark.parametrize("options", [{}, {"n_nonzero": None}, {"n_nonzero": 1}])
def test_similar_items_equal_brute_force(make, planted, options):
    model = make(**options).fit(planted.train)
    A = model.item_embeddings_.toarray().astype(float)
    cosine = A @ A.T / np.outer(*2 * [np.linalg.norm(A, axis=1)])
    np.fill_diagonal(cosine, -np.inf)
    items = np.array([5, 0, 5, 89])
    S = model.similar_items(items, k=12)
    assert S.shape == (4, 90)
    ids, scores = top_items(S)
    assert np.all(ids != items[:, None])
    best = -np.sort(-cosine[items], axis=1)[:, :12]
    np.testing.assert_allclose(scores, best, atol=1e-5)
    np.testing.assert_allclose(
        np.take_along_axis(cosine[items], ids, axis=1), scores, atol=1e-5
    )
    mask = np.zeros(90, dtype=bool)
    mask[[0, 5]] = True
    np.testing.assert_array_equal(
        model.similar_items(mask, k=12).toarray(), S[[1, 0]].toarray()
    )


def test_scores_with_targets_and_without(fitted, planted):
    history, targets = holdout_split(planted.test, random_state=0)
    with_targets = fitted.score(history, targets)
    hidden = fitted.score(planted.test)
    assert hidden == pytest.approx(with_targets)
    assert 0 < hidden < 1
    assert fitted.score(planted.test, np.zeros(80)) == hidden
    assert fitted.score(planted.test, ["label"] * 80) == hidden
    assert fitted.score(history.toarray(), targets.toarray()) == with_targets
    other = holdout_split(planted.test, random_state=7)
    assert fitted.score(*other) != with_targets
    with pytest.raises(ValueError, match="shape"):
        fitted.score(history, targets[:, :5])
    with pytest.raises(ValueError):
        # Nobody has an item that could be hidden.
        fitted.score(sp.eye_array(90, format="csr"))


def test_predictions_are_padded(fitted, make, planted):
    X = np.ones((2, 90))
    X[0, [3, 8]] = 0
    predicted = fitted.predict(X, k=4)
    assert predicted.dtype == np.int64
    assert set(predicted[0, :2]) == {3, 8}
    np.testing.assert_array_equal(predicted[0, 2:], -1)
    np.testing.assert_array_equal(predicted[1], -1)
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(planted.train.toarray()).add_prefix("item ")
    named = make().fit(frame)
    X = pd.DataFrame(X, columns=frame.columns)
    predicted = named.predict(X, k=4)
    assert set(predicted[0, :2]) == {"item 3", "item 8"}
    assert all(name is None for name in [*predicted[0, 2:], *predicted[1]])


def test_predict_is_there_but_for_tiny_catalogues_with_labels(make, tiny):
    assert hasattr(make(), "predict")
    assert make().fit(tiny[:, :5]).predict(tiny[:, :5]).shape == (40, 10)
    labels = np.arange(40)
    assert make().fit(tiny, labels).predict(tiny).shape == (40, 10)
    model = make().fit(tiny[:, :5], labels)
    assert not hasattr(model, "predict")
    assert hasattr(model.fit(tiny[:, :5], tiny[:, :5]), "predict")


# New items


@pytest.mark.parametrize("options", [{}, {"init": "dense"}, {"n_nonzero": None}])
def test_codes_of_new_items_find_their_cluster(make, planted, options):
    hidden = np.arange(2, 90, 10)
    known = np.setdiff1d(np.arange(90), hidden)
    model = make(max_iter=4, batch_size=32, **options)
    model.fit(planted.train[:, known])
    embeddings = model.item_embeddings_.copy()
    codes = model.encode_items(planted.train[:, hidden])
    assert codes.shape == (len(hidden), 16)
    assert codes.dtype == np.float32
    assert codes.format == "csr"
    assert np.diff(codes.indptr).max() <= model.n_nonzero_
    np.testing.assert_allclose(sp.linalg.norm(codes, axis=1), 1, rtol=1e-5)
    assert (embeddings != model.item_embeddings_).nnz == 0
    scores = (codes @ embeddings.T).toarray()
    nearest = np.argsort(-scores, axis=1)[:, :5]
    clusters = planted.item_clusters
    same = clusters[known][nearest] == clusters[hidden][:, None]
    assert same.mean() > 0.8
    given = model.encode_items(planted.train[:, hidden], planted.train[:, known])
    np.testing.assert_allclose(given.toarray(), codes.toarray(), atol=1e-5)


def test_codes_are_the_mean_direction_of_the_users(make, planted):
    model = make(n_nonzero=None).fit(planted.train)
    U = planted.test @ model.item_embeddings_.toarray().astype(float)
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    columns = planted.test[:, [3, 10]].toarray()
    expected = columns.T @ U
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    codes = model.encode_items(columns, planted.test)
    np.testing.assert_allclose(codes.toarray(), expected, atol=1e-5)


def test_codes_of_items_without_users(fitted, planted):
    columns = np.zeros((220, 2))
    columns[:5, 1] = 1
    codes = fitted.encode_items(columns, planted.train)
    assert codes[[0]].nnz == 0
    assert codes[[1]].nnz > 0
    strangers = fitted.encode_items(np.ones((3, 1)), sp.csr_array((3, 90)))
    assert strangers.shape == (1, 16)
    assert strangers.nnz == 0


def test_the_users_of_encode_items_must_match(make, planted):
    model = make().fit(planted.train)
    columns = planted.train[:, [0]]
    with pytest.raises(ValueError, match=r"7 users.*220 histories"):
        model.encode_items(columns[:7])
    with pytest.raises(ValueError, match=r"220 users.*80 histories"):
        model.encode_items(columns, planted.test)
    with pytest.raises(ValueError, match="features"):
        model.encode_items(columns, planted.train[:, :5])
    expected = model.encode_items(columns, planted.train).toarray()
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        with pytest.raises(ValueError, match="pass X"):
            copied.encode_items(columns)
        np.testing.assert_array_equal(
            copied.encode_items(columns, planted.train).toarray(), expected
        )
    # partial_fit knows its own users.
    model.partial_fit(planted.test)
    assert model.encode_items(planted.test[:, [0]]).shape == (1, 16)
