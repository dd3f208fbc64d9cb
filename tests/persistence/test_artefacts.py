"""Saved models of every version load, and hostile ones do not."""

import copy
import hashlib
import json
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from sksparse_rec import (
    PersistenceError,
    SparseIndex,
    load_model,
    save_model,
    top_items,
)
from sksparse_rec._format import read_folder, write_folder
from sksparse_rec._format._manifest import VERSION

ARTEFACTS = Path(__file__).parents[1] / "artefacts"
HOSTILE = ARTEFACTS / "hostile"
REASONS = json.loads((HOSTILE / "reasons.json").read_text(encoding="utf-8"))
VERSIONS = sorted(ARTEFACTS.glob("format-*"))


@pytest.fixture
def scripts(monkeypatch):
    """Let the scripts of the artefacts be imported."""
    monkeypatch.syspath_prepend(ARTEFACTS)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(ARTEFACTS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_there_is_a_model_of_every_version():
    assert [folder.name for folder in VERSIONS] == [
        f"format-{version + 1}" for version in range(VERSION)
    ]


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
@pytest.mark.usefixtures("scripts")
def test_models_of_every_version_load(folder):
    from make_models import histories, vectors

    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert len(expected) >= 3
    for name, answers in expected.items():
        model = load_model(folder / name)
        assert type(model).__name__ == name
        X = vectors() if name == "CompresSAE" else histories()
        for key, value in answers["params"].items():
            assert repr(getattr(model, key)) == value
        ids, scores = top_items(model.recommend(X, k=2))
        assert ids.tolist() == answers["ids"]
        scores = np.where(np.isfinite(scores), scores, 0)
        np.testing.assert_allclose(scores, answers["scores"], atol=1e-6)
        getattr(model, "best_estimator_", model).partial_fit(X)
    assert not hasattr(load_model(folder / "unfitted"), "item_embeddings_")


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
@pytest.mark.usefixtures("scripts")
def test_indexes_of_every_version_open(folder):
    from make_index import answers

    expected = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    for index in (
        SparseIndex.open(folder / "SparseIndex"),
        SparseIndex.open(folder / "SparseIndex", verify=True),
        load_model(folder / "SparseIndex"),
    ):
        assert answers(index) == expected


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
@pytest.mark.usefixtures("scripts")
def test_segments_of_every_version_load(folder):
    from make_segments import answers

    expected = json.loads((folder / "segments.json").read_text(encoding="utf-8"))
    found = answers(load_model(folder / "LatentSegments"))
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if key in ("memberships", "embeddings"):
            np.testing.assert_allclose(found[key], value, atol=1e-12)
        else:
            assert found[key] == value


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
@pytest.mark.usefixtures("scripts")
def test_steering_of_every_version_loads(folder):
    from make_steering import answers

    expected = json.loads((folder / "steering.json").read_text(encoding="utf-8"))
    model = load_model(folder / "SteerableRecommender")
    found = answers(model)
    assert found.keys() == expected.keys()
    assert found["names"] == expected["names"]
    for key in ("plain", "steered"):
        assert found[key][0] == expected[key][0]
    for key in expected.keys() - {"names"}:
        values = zip(found[key], expected[key], strict=True)
        for value, other in values:
            np.testing.assert_allclose(value, other, atol=1e-6)
    names = load_model(folder / "ConceptMap").concept_names_
    np.testing.assert_array_equal(names, model.concept_map_.concept_names_)


@pytest.mark.usefixtures("scripts")
def test_the_scripts_make_these_files(tmp_path):
    from make_hostile import make_all

    make_all(tmp_path)
    made = {p.relative_to(tmp_path): p.read_bytes() for p in files_in(tmp_path)}
    kept = {p.relative_to(HOSTILE): p.read_bytes() for p in files_in(HOSTILE)}
    assert made == kept
    folders = {path.parts[0] for path in made} - {"reasons.json"}
    assert folders == REASONS.keys()


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", REASONS)
def test_hostile_models_are_refused(name):
    with pytest.raises(PersistenceError, match=REASONS[name]) as error:
        load_model(HOSTILE / name)
    assert len(str(error.value)) < 1500


INDEXES = [name for name in REASONS if name.startswith("index-")]


@pytest.mark.parametrize("name", INDEXES)
@pytest.mark.usefixtures("scripts")
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_hostile_indexes_are_refused_or_harmless(name):
    from make_index import answers

    path = HOSTILE / name
    with pytest.raises(PersistenceError, match=REASONS[name]):
        SparseIndex.open(path, verify=True)
    if name.startswith("index-form-"):
        with pytest.raises(PersistenceError, match=REASONS[name]):
            SparseIndex.open(path)
        return
    index = SparseIndex.open(path)
    for use in (answers, lambda index: index.add(["new"], np.ones((1, 8)))):
        with suppress(ValueError, IndexError):
            use(index)


# Digests are there for damage: whoever lies can compute them.
ONLY_DIGESTS = {"arrays-bit-flipped"}


@pytest.mark.parametrize("name", sorted(REASONS.keys() - ONLY_DIGESTS))
def test_hostile_models_are_refused_without_digests_too(name):
    with pytest.raises(PersistenceError):
        load_model(HOSTILE / name, verify=False)


def values_of(node, place=()):
    """Yield the places of all values in nested JSON."""
    yield place
    if isinstance(node, dict | list):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            yield from values_of(value, (*place, key))


def replaced(node, place, value):
    node = copy.deepcopy(node)
    parent = node
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    return node


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("item_embeddings_", "n_nonzero_grid_"),
        ("item_embeddings_", None),
        ("loss_curve_", [0.5]),
        ("anchors_", "nothing at all"),
    ],
)
def test_what_a_search_shares_with_its_model(name, value, tmp_path):
    folder = read_folder(ARTEFACTS / "format-1" / "CompressedELSACV")
    fitted = folder.content["fitted"]
    assert (
        fitted["item_embeddings_"] == fitted["feature_names_in_"] == "best_estimator_"
    )
    fitted[name] = value
    if value == "nothing at all":
        del fitted[name]
    path = tmp_path / "model"
    write_folder(path, "CompressedELSACV", folder.arrays, folder.content)
    with pytest.raises(PersistenceError, match=f"{name} should be that of best_est"):
        load_model(path)


LISTING = ("CompressedELSA", "CompressedELSACV", "CompresSAE")
ODD = (None, True, 0, -1, 1 << 62, 0.5, "", "array", "../x", [], [[]], {}, {"type": 1})
ODD += ({"type": "tuple", "value": 3}, {"type": "csr", "shape": [1, 1]}, {"": {}})


@pytest.mark.parametrize("name", [*LISTING, "ConceptMap", "SteerableRecommender"])
def test_any_value_in_place_of_any_other(name, tmp_path):
    """A model is loaded, or refused with its own error: nothing else happens."""
    folder = read_folder(ARTEFACTS / "format-1" / name)
    rng = np.random.default_rng(0)
    places = [place for place in values_of(folder.content) if place]
    n_refused = 0
    for place in places:
        value = ODD[rng.integers(len(ODD))]
        content = replaced(folder.content, place, value)
        path = tmp_path / "model"
        write_folder(path, name, folder.arrays, content, overwrite=True)
        try:
            load_model(path)
        except PersistenceError:
            n_refused += 1
    assert len(places) / 4 < n_refused < len(places)


@pytest.mark.parametrize("name", [*LISTING, "SteerableRecommender"])
def test_any_change_of_any_array(name, tmp_path):
    """Whatever is not refused gives finite answers from positions that exist."""
    folder = read_folder(ARTEFACTS / "format-1" / name)
    rng = np.random.default_rng(0)
    n_refused = 0
    X = np.eye(load_model(ARTEFACTS / "format-1" / name).n_features_in_)
    for key in [*folder.arrays] * 4:
        array = folder.arrays[key].copy()
        flat = array.reshape(-1).view(np.uint8)
        if flat.size == 0:
            continue
        flat[rng.integers(flat.size)] ^= 1 << rng.integers(8)
        if rng.random() < 0.3:
            array = array[:-1]
        path = tmp_path / "model"
        arrays = folder.arrays | {key: array}
        write_folder(path, name, arrays, folder.content, overwrite=True)
        try:
            model = load_model(path)
        except PersistenceError:
            n_refused += 1
            continue
        vars(model).pop("feature_names_in_", None)
        if name == "SteerableRecommender":
            model.recommend(X, k=2, steer={0: 0.5}), model.concept_levels(X)
        ids = model.recommend(X, k=2).indices
        n_items = getattr(model, "item_embeddings_", X).shape[0]
        assert ids.size == 0 or ids.max() < n_items
    assert n_refused > len(folder.arrays) / 4


@pytest.mark.parametrize("depth", [100, 400, 600, 900, 5000])
def test_parameters_nested_deeply(depth, tmp_path, elsa):
    save_model(elsa, tmp_path / "model")
    path = tmp_path / "model" / "manifest.json"
    nested = "[" * depth + "]" * depth
    text = path.read_text().replace('"n_jobs": null', f'"n_jobs": {nested}')
    start = '{\n "digest": "'
    rest = text[len(start) + 64 :]
    path.write_text(start + hashlib.sha256(rest.encode()).hexdigest() + rest)
    # How deep is too deep depends on the release of Python.
    try:
        outcome = str(load_model(path.parent).n_jobs)
    except PersistenceError as error:
        outcome = str(error)
    assert outcome == nested or ("nested too deeply" in outcome and depth > 100)
