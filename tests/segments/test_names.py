"""Where names come from, that they are unique, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from sksparse_rec import CompressedELSA, LatentSegments
from sksparse_rec._names import unique_names

ITEMS = ["sencha", "assam", "chai", "espresso", "arabica", "water", "mug"]
ANCHORS = [1, 4, -1, 6]


@pytest.fixture
def everything(drinks):
    """Arguments of ``fit``, apart from the embeddings."""
    _, texts = drinks
    tags = [["leaf"]] * 3 + [["bean"]] * 2 + [["liquid"], ["object"]]
    return {
        "item_texts": texts,
        "item_tags": tags,
        "item_names": ITEMS,
        "anchors": ANCHORS,
    }


@pytest.fixture
def names(drinks):
    """A function that returns the names, larger segment first."""

    def names(namer=None, n_words=2, **material):
        segments = LatentSegments(min_size=2, namer=namer, n_words=n_words)
        return segments.fit(drinks[0], **material).segment_names_.tolist()

    return names


EXPECTED = {
    "tags": ["leaf", "bean"],
    "texts": ["tea, black", "coffee, beans"],
    # The second is at the negative end of its latent.
    "anchors": ["assam", "not arabica"],
    "items": ["assam, sencha", "arabica, espresso"],
    "ids": ["0+", "1-"],
}


@pytest.mark.parametrize(("namer", "expected"), EXPECTED.items())
def test_sources(names, everything, namer, expected):
    assert names(namer, **everything) == expected


def test_the_first_source_that_there_is(names, everything):
    arguments = ["item_tags", "item_texts", "anchors", "item_names"]
    for argument, expected in zip(arguments, list(EXPECTED.values()), strict=False):
        assert names(**everything) == expected
        del everything[argument]
    assert names(**everything) == EXPECTED["ids"]


def test_a_segment_of_which_a_source_says_nothing_takes_the_next(names, everything):
    everything["item_tags"][:3] = [None, [], ()]
    assert names("tags", **everything) == ["tea, black", "bean"]
    everything["item_texts"] = [None, float("nan"), "", *everything["item_texts"][3:]]
    assert names("tags", **everything) == ["assam", "bean"]
    everything["anchors"] = [-1, 4, -1, 6]
    assert names("tags", **everything) == ["assam, sencha", "bean"]
    del everything["item_names"]
    assert names("tags", **everything) == ["0+", "bean"]
    assert names("anchors", **everything) == ["0+", "not item 4"]


@pytest.mark.parametrize(
    ("namer", "argument"),
    [
        ("tags", "item_tags"),
        ("texts", "item_texts"),
        ("anchors", "anchors"),
        ("items", "item_names"),
    ],
)
def test_a_source_needs_its_argument(names, everything, namer, argument):
    del everything[argument]
    with pytest.raises(ValueError, match=f"namer='{namer}' needs {argument}"):
        names(namer, **everything)


def test_a_callable_gets_the_facts(names, everything):
    facts = []

    def namer(fact):
        facts.append(fact)
        return f"{fact.latent} {fact.words[0]}"

    assert names(namer, **everything) == ["0 tea", "1 coffee"]
    tea, coffee = facts
    assert (tea.id, tea.latent, tea.sign, tea.size) == ("0+", 0, 1, 3)
    assert (coffee.id, coffee.latent, coffee.sign, coffee.size) == ("1-", 1, -1, 2)
    # By the share of the latent in the unit row.
    assert tea["items"].tolist() == [1, 0, 2]
    expected = [1, 0.9 / np.hypot(0.9, 0.1), 0.8 / np.hypot(0.8, 0.2)]
    np.testing.assert_allclose(tea.weights, expected)
    assert tea.item_names == ["assam", "sencha", "chai"]
    assert tea.texts == ["black tea with milk", "green tea", "a tea"]
    assert tea.tags == ["leaf"]
    assert set(tea.words) == {"tea", "black", "green", "milk"}
    assert (tea.anchor, tea.anchor_name) == (1, "assam")
    facts.clear()
    names(lambda fact: facts.append(fact) or "x")
    assert {facts[0][key] for key in ("words", "tags", "texts", "item_names")} == {None}
    assert facts[0].anchor is facts[0].anchor_name is None


def test_names_of_a_callable_become_unique_and_tidy(names):
    assert names(lambda fact: " a \n name ") == ["a name", "a name (2)"]


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        (None, TypeError, r"namer returned None for segment '0\+' of 3 items"),
        (3, TypeError, "namer returned 3"),
        (" \n", ValueError, r"empty name for segment '0\+'"),
    ],
)
def test_answers_that_are_no_names(names, answer, error, match):
    with pytest.raises(error, match=match):
        names(lambda fact: answer)


@pytest.mark.parametrize(
    ("names", "reserved", "expected"),
    [
        (["a", "b"], [], ["a", "b"]),
        (["a", "a", "b", "a"], [], ["a", "a (2)", "b", "a (3)"]),
        # Nobody loses a name of its own to somebody's number.
        (["a", "a", "a (2)", "a (2)"], [], ["a", "a (3)", "a (2)", "a (2) (2)"]),
        (["a", "a"], ["a", "a (3)"], ["a (2)", "a (4)"]),
        ([], ["a"], []),
    ],
)
def test_unique_names(names, reserved, expected):
    found = unique_names(names, reserved)
    assert found.dtype == object
    assert found.tolist() == expected


def test_many_names_that_are_the_same():
    found = unique_names(["a"] * 20_000)
    assert len(set(found)) == 20_000
    assert found[-1] == "a (20000)"


def test_names_are_the_same_every_time(X):
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(10)]
    texts = [" ".join(rng.choice(words, 3)) for _ in range(300)]
    first, second = (LatentSegments().fit(X, item_texts=texts) for _ in range(2))
    np.testing.assert_array_equal(first.segment_names_, second.segment_names_)
    assert len(set(first.segment_names_)) == len(first.segment_names_)


def test_anchors_of_a_model(planted):
    model = CompressedELSA(16, n_nonzero=4, max_iter=2, random_state=0)
    model.fit(planted.train)
    segments = LatentSegments().fit(model.item_embeddings_, anchors=model.anchors_)
    for name, latent, sign in zip(
        segments.segment_names_,
        segments.segment_latents_,
        segments.segment_signs_,
        strict=True,
    ):
        anchor = f"item {model.anchors_[latent]}"
        assert name == (anchor if sign > 0 else f"not {anchor}")


@pytest.mark.parametrize(
    ("material", "error", "match"),
    [
        ({"item_texts": ["a"] * 6}, ValueError, "item_texts has 6 entries.*an item: 7"),
        ({"item_texts": "seven!!"}, TypeError, "item_texts must have one entry"),
        ({"item_texts": iter("seven!!")}, TypeError, "item_texts must have one entry"),
        ({"item_texts": ["a"] * 6 + [3]}, TypeError, r"item_texts\[6\] is 3"),
        ({"item_names": ITEMS[:-1]}, ValueError, "item_names has 6 entries"),
        ({"item_names": [*ITEMS[:-1], None]}, TypeError, r"item_names\[6\] is None"),
        ({"item_names": [*ITEMS[:-1], 0.5]}, TypeError, r"item_names\[6\] is 0.5"),
        ({"item_tags": [["a"]] * 8}, ValueError, "item_tags has 8 entries"),
        ({"item_tags": ["abc"] * 7}, TypeError, r"item_tags\[0\] is 'abc'"),
        ({"item_tags": [[1]] * 7}, TypeError, r"item_tags\[0\] is \[1\]"),
        ({"item_tags": [["a"]] * 7, "tag_names": ["a"]}, ValueError, "tag_names are"),
        ({"tag_names": ["a"]}, ValueError, "no item_tags"),
        ({"item_tags": np.eye(7)}, ValueError, "pass tag_names"),
        ({"item_tags": np.eye(7), "tag_names": ["a"]}, ValueError, "tag_names has 1"),
        (
            {"item_tags": np.eye(6), "tag_names": list("abcdef")},
            ValueError,
            "item_tags has 6 rows",
        ),
        (
            {"item_tags": np.full((7, 1), np.nan), "tag_names": ["a"]},
            ValueError,
            "Input item_tags contains NaN",
        ),
        ({"anchors": [0, 1]}, ValueError, "anchors has 2 entries.*a latent: 4"),
        ({"anchors": [0, 1, 2, 7]}, ValueError, r"anchors\[3\] is 7"),
        ({"anchors": [0, 1, 2, -2]}, ValueError, r"anchors\[3\] is -2"),
        ({"anchors": [0.0, 1, 2, 3]}, TypeError, "anchors must be item positions"),
        ({"anchors": [[0]] * 4}, TypeError, "anchors must be item positions"),
    ],
)
def test_material_is_checked(names, material, error, match):
    with pytest.raises(error, match=match):
        names(**material)


def test_missing_values_of_pandas(names):
    texts = pd.Series(["tea"] * 3 + [pd.NA, None, float("nan"), "mug"], dtype="string")
    assert names(item_texts=texts) == ["tea", "1-"]
    tags = pd.Series([["leaf"]] * 3 + [pd.NA, None, float("nan"), []], dtype=object)
    assert names(item_tags=tags) == ["leaf", "1-"]


def test_names_of_items_may_be_numbers(names):
    assert names(item_names=np.arange(7))[0] == "1, 0"


def test_a_matrix_of_tags_is_left_as_it_is(drinks):
    # Unsorted, and with duplicates: what scipy would put in order in place.
    indices = np.array([1, 0, 1, 0, 0, 1])
    parts = np.ones(6), indices, np.array([0, 3, 4, 5, 6, 6, 6, 6])
    tags = sp.csr_array(tuple(part.copy() for part in parts), shape=(7, 2))
    LatentSegments(min_size=2).fit(drinks[0], item_tags=tags, tag_names=["a", "b"])
    for found, before in zip(
        (tags.data, tags.indices, tags.indptr), parts, strict=True
    ):
        np.testing.assert_array_equal(found, before)
