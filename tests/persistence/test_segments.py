"""Saved segments: the same when they are loaded, and refused when they are wrong."""

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse_rec import LatentSegments, PersistenceError, load_model, save_model
from sksparse_rec._format import read_folder, write_folder


@pytest.fixture(name="X", scope="module")
def embeddings():
    X = np.random.default_rng(0).normal(size=(120, 6))
    X[np.abs(X) < 0.5] = 0
    X[3] = 0
    return sp.csr_array(X)


@pytest.fixture
def segments(X):
    names = [f"item {i} ě梨" for i in range(120)]
    return LatentSegments(n_latents=2, merge_threshold=0.5).fit(X, item_names=names)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"merge_threshold": None},
        {"min_size": 1000},
        {"min_size": 1},
        {"assign": "nearest", "n_latents": 3},
    ],
)
def test_segments(X, dtype, params, again, assert_same):
    fitted = LatentSegments(**params).fit(X.astype(dtype))
    loaded = again(fitted)
    assert_same(loaded, fitted)
    assert_same(loaded.segment_parts_, fitted.segment_parts_)
    assert_same(loaded.transform(X), fitted.transform(X))
    assert_same(loaded.predict(X), fitted.predict(X))
    assert_same(loaded.items_of(2), fitted.items_of(2))
    if len(fitted.segment_ids_):
        assert_same(loaded.items_of(segment=0), fitted.items_of(segment=0))
    assert loaded.match(fitted).text == fitted.match(fitted).text
    assert_same(again(loaded), fitted)


def test_names_and_former_ids(segments, X, again, assert_same):
    newer = LatentSegments(min_size=8).fit(-X)
    newer.transfer(segments)
    assert len(newer.former_ids_)
    assert_same(again(newer), newer)
    assert_same(again(segments), segments)
    assert_same(again(LatentSegments(namer="ids")), LatentSegments(namer="ids"))


def test_one_item_of_one_latent(again, assert_same):
    fitted = LatentSegments(min_size=1).fit([[-1.0]])
    assert_same(again(fitted), fitted)


def test_callables_cannot_be_saved(X, path):
    fitted = LatentSegments(namer=lambda facts: facts.id).fit(X)
    with pytest.raises(PersistenceError, match=r"set_params\(namer=...\)"):
        save_model(fitted, path)
    assert not path.exists()
    save_model(fitted.set_params(namer=None), path)


def put(name, place, value):
    def put(arrays):
        arrays[name] = arrays[name].copy()
        arrays[name][place] = value

    return put


def cut(name):
    def cut(arrays):
        arrays[name] = arrays[name][:-1].copy()

    return cut


def narrow(name):
    def narrow(arrays):
        arrays[name] = arrays[name][:, :-1].copy()

    return narrow


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (put("labels_", 0, -2), "labels_ must be at least -1"),
        (put("labels_", 0, 10_000), "labels_ must be less than"),
        (put("pair_segments_", 0, 10_000), "pair_segments_ must be less than"),
        (put("segment_latents_", 0, 6), "segment_latents_ must be less than 6"),
        (put("segment_signs_", 0, 2), "segment_signs_ has others than 1 and -1"),
        (put("segment_signs_", 0, 0), "segment_signs_ has others than 1 and -1"),
        (put("segment_sizes_", 0, 0), "segment_sizes_ must be at least 1"),
        (put("segment_sizes_", 0, 99), "segment_sizes_ are not those of labels_"),
        (put("labels_", 0, -1), "segment_sizes_ are not those of labels_"),
        (put("merge_leaves_", (0, 0), 6), "merge_leaves_ are no latents"),
        (put("merge_leaves_", (0, 1), 0), "merge_leaves_ are no latents"),
        (put("merge_leaves_", (0, 2), 0), "merge_leaves_ are no latents"),
        (put("merge_tree_", (0, 2), np.nan), "merge_tree_ must be finite"),
        (put("memberships_.indices", 0, 10_000), "memberships_"),
        (put("segment_embeddings_.data", 0, np.inf), "segment_embeddings_"),
        (cut("pair_segments_"), "pair_segments_ has 11 entries"),
        (cut("merge_tree_"), "merge_tree_ has"),
        (narrow("merge_leaves_"), "merge_leaves_ has no 3 columns"),
        (narrow("merge_tree_"), "or merge_tree_ no 4"),
        (cut("labels_"), "n_items"),
        (cut("segment_sizes_"), "n_segments"),
        (cut("segment_ids_.starts"), "segment_ids_"),
    ],
)
def test_wrong_segments_are_refused(segments, path, spoil, match):
    save_model(segments, path)
    folder = read_folder(path, verify=True, max_bytes=None)
    arrays = dict(folder.arrays)
    spoil(arrays)
    write_folder(path, folder.kind, arrays, folder.content, overwrite=True)
    with pytest.raises(PersistenceError, match=match):
        load_model(path)
