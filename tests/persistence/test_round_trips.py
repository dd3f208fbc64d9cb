"""A loaded model is the model that was saved."""

import json
import os
import pickle
import subprocess
import sys
from copy import deepcopy

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sksparse_rec import CompressedELSA, CompressedELSACV, load_model, save_model


def answers(model, X):
    """Everything that a fitted recommender says."""
    names = getattr(model, "feature_names_in_", None)
    items = [0, 5] if names is None else list(names[[0, 5]])
    profiles = model.transform(X)
    row = X[:1]
    return {
        "recommend": model.recommend(X, k=5),
        "seen": model.recommend(X, k=5, exclude_seen=False, deny=items),
        "predict": model.predict(X),
        "similar": model.similar_items(items),
        "transform": profiles,
        "inverse": model.inverse_transform(profiles),
        "explain": dict(model.explain(row, items)),
        "encode": model.encode_items(np.eye(X.shape[0])[:, :3], X=X),
        "score": model.score(X),
        "components": model.components_,
        "names out": model.get_feature_names_out(),
    }


def test_recommenders(recommender, again, X, assert_same):
    loaded = again(recommender)
    assert_same(loaded, recommender)
    assert_same(answers(loaded, X), answers(recommender, X))
    assert repr(loaded) == repr(recommender)


def test_coders(coder, again, vectors, assert_same):
    loaded = again(coder)
    assert_same(loaded, coder)
    codes = coder.transform(vectors)
    assert_same(loaded.transform(vectors), codes)
    assert_same(loaded.inverse_transform(codes), coder.inverse_transform(codes))
    for space in ("sparse", "reconstructed", "asymmetric"):
        found = (model.recommend(vectors, space=space) for model in (loaded, coder))
        assert_same(*found)
    assert_same(loaded.similar_items([0, 3]), coder.similar_items([0, 3]))
    assert loaded.score(vectors) == coder.score(vectors)
    assert loaded.explained_variance_ == coder.explained_variance_


def test_training_goes_on_as_it_would_have(recommender, again, X, assert_same):
    loaded, kept = again(recommender), deepcopy(recommender)
    if isinstance(kept, CompressedELSACV):
        loaded, kept = loaded.best_estimator_, kept.best_estimator_
    for model in (loaded, kept):
        model.partial_fit(X).partial_fit(X)
    assert_same(loaded, kept)
    for model in (loaded, kept):
        model.set_params(warm_start=True, max_iter=1).fit(X)
    assert_same(loaded, kept)
    # And once more from what has been trained on.
    assert_same(again(kept), kept)


def test_training_of_codes_goes_on(coder, again, vectors, assert_same):
    loaded, kept = again(coder), deepcopy(coder)
    for model in (loaded, kept):
        model.partial_fit(vectors).partial_fit(vectors[:30])
    assert_same(loaded, kept)


def test_unfitted_models(unfitted, again, assert_same, X, vectors):
    loaded = again(unfitted)
    assert_same(loaded, unfitted)
    with pytest.raises(NotFittedError):
        loaded.transform(X)
    data = vectors if hasattr(unfitted, "encoder") else X
    assert_same(loaded.fit(data), clone(unfitted).fit(data))


def test_a_first_partial_fit_and_items_without_interactions(again, assert_same):
    X = sp.csr_array(np.eye(4)[[0, 0, 1]] + np.eye(4)[[1, 1, 0]])
    for model in (
        CompressedELSA(8, n_nonzero=2, random_state=0).partial_fit(X),
        CompressedELSA(8, n_nonzero=2, max_iter=2, random_state=0).fit(X * 0),
    ):
        loaded = again(model)
        assert_same(loaded, model)
        assert_same(loaded.recommend(X), model.recommend(X))


@pytest.mark.parametrize("init", ["anchors", "dense"])
def test_in_the_middle_of_a_sparsity_schedule(init, histories, again, assert_same):
    X = histories["matrix"]
    model = CompressedELSA(16, n_nonzero=4, init=init, rewind=True, random_state=0)
    model.set_params(pruning_share=1.0, max_iter=3).partial_fit(X)
    state = model._training_state
    assert state["initial"] is not None
    assert (
        (state["columns"] is None) == (state["live"] is not None) == (init == "dense")
    )
    loaded = again(model)
    assert_same(loaded, model)
    assert_same(loaded.partial_fit(X), model.partial_fit(X))


def test_a_search_and_its_model_share_their_arrays(histories, again):
    search = CompressedELSACV(16, n_nonzero=(4, 2), cv=2, max_iter=1, random_state=0)
    loaded = again(search.fit(histories["named"]))
    best = loaded.best_estimator_
    assert loaded.item_embeddings_ is best.item_embeddings_
    assert loaded.loss_curve_ is best.loss_curve_
    assert loaded.feature_names_in_ is best.feature_names_in_


def test_labels_and_output_settings(histories, again, assert_same):
    X = histories["matrix"][:, :6]
    model = CompressedELSA(4, max_iter=1, random_state=0).set_output(
        transform="default"
    )
    model.fit(X[np.diff(X.indptr) > 0], np.ones(int((np.diff(X.indptr) > 0).sum())))
    loaded = again(model)
    assert_same(loaded, model)
    assert not hasattr(loaded, "predict")


def test_loaded_models_can_be_cloned_pickled_and_dumped(elsa, again, assert_same):
    loaded = again(elsa)
    assert_same(clone(loaded), clone(elsa))
    assert_same(pickle.loads(pickle.dumps(loaded)), elsa)
    assert_same(deepcopy(loaded), elsa)


def test_models_that_joblib_maps_are_saved(elsa, again, tmp_path, assert_same):
    joblib.dump(elsa, tmp_path / "elsa.joblib")
    mapped = joblib.load(tmp_path / "elsa.joblib", mmap_mode="r")
    assert isinstance(mapped.anchors_, np.memmap)
    assert_same(again(mapped), elsa)


def test_loaded_arrays_can_be_written_to(elsa, again):
    loaded = again(elsa)
    assert loaded.item_embeddings_.data.flags.writeable
    assert loaded._training_state["values"].flags.writeable


def test_without_digests(elsa, again, assert_same):
    assert_same(again(elsa, verify=False), elsa)


def test_saving_leaves_the_model_alone(recommender, path, again):
    before = pickle.dumps(recommender)
    again(recommender)
    assert pickle.dumps(recommender) == before


def test_the_same_model_makes_the_same_bytes(elsa, again, path, assert_same):
    loaded = again(elsa)
    data = {file.name: file.read_bytes() for file in path.iterdir()}
    again(loaded)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == data
    assert json.loads(data["manifest.json"])["kind"] == "CompressedELSA"


def test_what_was_trained_on_a_gpu_is_loaded_without_one(elsa, again, histories):
    model = deepcopy(elsa).set_params(device="cuda")
    loaded = again(model)
    assert loaded.device == "cuda"
    X = histories["named"]
    np.testing.assert_array_equal(loaded.predict(X), elsa.predict(X))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_model_in_a_process_that_sees_none(histories, again, path):
    X = histories["matrix"]
    model = CompressedELSA(16, n_nonzero=4, max_iter=2, device="cuda", random_state=0)
    again(model.fit(X))
    code = (
        "import sys, torch, numpy as np\n"
        "from sksparse_rec import load_model\n"
        "assert not torch.cuda.is_available()\n"
        "model = load_model(sys.argv[1])\n"
        "print(model.predict(np.eye(model.n_features_in_)[:2], k=3).tolist())\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, path],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = model.predict(np.eye(X.shape[1])[:2], k=3).tolist()
    assert json.loads(answer.stdout) == expected


def test_paths_as_text_and_from_home(elsa, tmp_path, monkeypatch, assert_same):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save_model(elsa, "~/models/elsa")
    assert_same(load_model(f"{tmp_path}/models/elsa"), elsa)
    assert_same(load_model("~/models/elsa"), elsa)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_model(elsa, "~/models/elsa")
    with pytest.raises(FileNotFoundError):
        load_model("~/models/other")
