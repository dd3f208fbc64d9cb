"""Explanations as tables and as sentences."""

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse_rec.models._explanation_names import (
    Labels,
    digits_for,
    enumeration,
    number,
    sentence,
    strongest_first,
)
from sksparse_rec.models._explanation_results import Explanation, ListChange

NAMES = ["ale", "bread", "cheese", "dill"]


def make_explanation(**labels):
    """Two items; the matrices need not agree with each other here."""
    labels = {
        "positions": np.array([3, 0]),
        "anchors": np.array([1, -1, 2]),
        "segment_names": ["dairy", "bakery"],
    } | labels
    return Explanation(
        Labels(**labels),
        by_latent=sp.csr_array([[0.5, -0.75, 1.5], [0, 0, 0.25]]),
        by_history=sp.csr_array([[0, 1.0, 0.25, 0], [0.25, 0, 0, 0]]),
        by_segment=sp.csr_array([[0.5, 0.0, 0.75], [0.25, 0, 0]]),
    )


def test_sentences():
    text = make_explanation().to_text(NAMES)
    assert text.split("\n") == [
        (
            "dill scores 1.25. From the history: bread +1.00 and cheese +0.25. "
            "From segments: no segment +0.75 and dairy +0.50. "
            "From latents: cheese +1.50, latent 1 -0.75 and bread +0.50."
        ),
        (
            "ale scores 0.25. From the history: ale +0.25. From segments: dairy +0.25. "
            "From latents: cheese +0.25."
        ),
    ]
    assert make_explanation().to_text(NAMES) == text


def test_names_are_those_given_else_those_known_else_numbers():
    assert (
        make_explanation()
        .to_text(by="history")
        .startswith("item 3 scores 1.25. From the history: item 1 +1.00")
    )
    fitted = make_explanation(item_names=np.array(NAMES, object))
    assert fitted.to_text(by="latent") == make_explanation().to_text(NAMES, by="latent")
    text = fitted.to_text(latent_names=["x", "y", "z"], by=["latent"])
    assert text.startswith("dill scores 1.25. From latents: z +1.50, y -0.75")


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("method", ["to_text", "to_frame"])
def test_as_many_names_as_there_are(method, n):
    pytest.importorskip("pandas")
    explain = getattr(make_explanation(n_items=4), method)
    explain(NAMES, latent_names=["x", "y", "z"])
    with pytest.raises(ValueError, match=f"item_names has {n} names for 4 items"):
        explain(["a"] * n)
    with pytest.raises(ValueError, match=f"latent_names has {n - 1} names for 3"):
        explain(latent_names=["a"] * (n - 1))


def test_names_that_do_not_reach_far_enough():
    with pytest.raises(ValueError, match=r"item_names has 2 names.* items go up to 3"):
        make_explanation().to_text(NAMES[:2])


def test_what_is_not_named_is_summed_up():
    values = np.array([0.5, -0.4, 0.3, 0.2])
    text = sentence("history", NAMES, values, n_top=2, digits=1)
    assert text == (
        "From the history: ale +0.5 and bread -0.4; the other 2 items together +0.5."
    )
    # To leave a single one out would save nothing.
    text = sentence("latent", NAMES, values, n_top=3, digits=1)
    assert text == "From latents: ale +0.5, bread -0.4, cheese +0.3 and dill +0.2."
    text = sentence("history", [], np.zeros(0), n_top=2, digits=1)
    assert text == "Nothing comes from the history."


def test_the_strongest_come_first_and_ties_are_settled():
    parts, values = np.array([7, 2, 9, 4]), np.array([0.1, -0.5, 0.5 + 1e-13, 0.2])
    np.testing.assert_array_equal(parts[strongest_first(parts, values)], [2, 9, 4, 7])


@pytest.mark.parametrize(
    ("scores", "digits"),
    [([], 2), ([0.0], 2), ([3.8], 2), ([0.95], 3), ([0.04], 4), ([4100.0, 1], 0)],
)
def test_three_digits_are_shown(scores, digits):
    assert digits_for(np.array(scores)) == digits


def test_numbers_have_a_sign_but_zero():
    assert number(0.126, 2) == "+0.13"
    assert number(-0.126, 2) == "-0.13"
    assert number(-0.001, 2) == number(0.001, 2) == "0.00"
    assert enumeration(["a"]) == "a"
    assert enumeration(["a", "b", "c"]) == "a, b and c"
    # What has commas itself would fall apart.
    text = sentence("segment", ["a, b", "c"], np.array([2.0, 1]), n_top=2, digits=0)
    assert text == 'From segments: "a, b" +2 and c +1.'


def test_the_table():
    pytest.importorskip("pandas")
    frame = make_explanation().to_frame(NAMES)
    assert list(frame.columns) == [
        "item",
        "item_name",
        "by",
        "part",
        "name",
        "contribution",
    ]
    first = frame[frame.item == 3]
    assert first.by.tolist() == ["history"] * 2 + ["segment"] * 2 + ["latent"] * 3
    assert first.name.tolist()[2:] == [
        "no segment",
        "dairy",
        "cheese",
        "latent 1",
        "bread",
    ]
    assert first.part.tolist() == [1, 2, -1, 0, 2, 1, 0]
    sums = frame.groupby(["item", "by"]).contribution.sum()
    assert sums[3, "latent"] == sums[3, "history"] == sums[3, "segment"] == 1.25
    assert set(make_explanation().to_frame(by="latent").by) == {"latent"}


def test_tables_of_nothing():
    pytest.importorskip("pandas")
    nothing = Explanation(
        Labels(np.array([2])), by_latent=sp.csr_array((1, 3), dtype=float)
    )
    frame = nothing.to_frame()
    assert len(frame) == 0
    assert "contribution" in frame.columns
    assert nothing.to_text() == "item 2 scores 0.00. Nothing comes from latents."
    none = Explanation(
        Labels(np.array([], int)), by_latent=sp.csr_array((0, 3), dtype=float)
    )
    assert none.to_text() == ""
    assert len(none.to_frame()) == 0


def test_zeros_are_not_told():
    stored = sp.csr_array((np.array([0.0, 2.0]), [0, 2], [0, 2]), shape=(1, 3))
    explanation = Explanation(Labels(np.array([5])), by_latent=stored)
    assert explanation.to_text() == "item 5 scores 2.00. From latents: latent 2 +2.00."
    assert explanation.by_latent.nnz == 2


@pytest.mark.parametrize("flavour", [sp.csr_array, sp.csr_matrix])
def test_both_flavours_of_sparse_matrices(flavour):
    explanation = Explanation(
        Labels(np.array([5, 6])), by_latent=flavour([[1.0, 0.5], [0, 2]])
    )
    np.testing.assert_array_equal(explanation.scores, [1.5, 2])
    assert explanation.to_text().startswith("item 5 scores 1.50.")


def test_refused_ways():
    with pytest.raises(ValueError, match=r"by must be among.*'genre'"):
        make_explanation().to_text(by="genre")
    with pytest.raises(ValueError, match="feature"):
        make_explanation().to_frame(by=["history", "feature"])
    with pytest.raises(ValueError, match="n_top"):
        make_explanation().to_text(n_top=0)


# Lists


def change(before, after, entered=(), left=(), moved=()):
    parts = {"before": before, "after": after, "entered": entered, "left": left}
    parts = {name: np.array(part, dtype=np.int64) for name, part in parts.items()}
    return ListChange(
        Labels(np.array([1])),
        removed=np.array([1]),
        moved=np.array(moved, dtype=np.int64).reshape(-1, 3),
        scores_before=np.linspace(2, 1, len(before)),
        scores_after=np.linspace(1, 0.5, len(after)),
        **parts,
    )


def test_sentences_about_lists():
    assert change([0, 2], [0, 2]).to_text(NAMES) == (
        "Without bread the list of 2 stays as it is."
    )
    assert change([0, 2], [2, 0], moved=[(2, 1, 0), (0, 0, 1)]).to_text(NAMES) == (
        "Without bread the list of 2 keeps its items. 2 items move, cheese the "
        "furthest, from place 2 to 1."
    )
    text = change([0, 2], [2, 3], [3], [0], [(2, 1, 0)]).to_text(NAMES)
    assert text == (
        "Without bread the list of 2 gains dill and loses ale. cheese moves from "
        "place 2 to 1."
    )
    assert change([0, 2], [0], left=[2]).to_text() == (
        "Without item 1 the list of 2 loses item 2."
    )


def test_names_that_fall_apart_in_a_list_are_quoted():
    names = ["salt and oil", "bread", "x", "wine, red"]
    assert change([0, 2], [3, 2], [3], [0]).to_text(names) == (
        'Without bread the list of 2 gains "wine, red" and loses "salt and oil".'
    )


def test_scores_are_summed_once_for_all_lines(monkeypatch):
    n_sums, plain = [0], Explanation.scores.fget

    def counted(self):
        n_sums[0] += 1
        return plain(self)

    monkeypatch.setattr(Explanation, "scores", property(counted))
    assert make_explanation().to_text(NAMES).count("scores") == 2
    assert n_sums[0] == 1


def test_the_table_of_lists():
    pytest.importorskip("pandas")
    frame = change([0, 2, 1], [2, 3, 1], [3], [0], [(2, 1, 0)]).to_frame(NAMES)
    assert frame.name.tolist() == ["cheese", "dill", "bread", "ale"]
    assert frame.change.tolist() == ["moves", "enters", "stays", "leaves"]
    assert frame.place_before.tolist() == [1, -1, 2, 0]
    assert frame.place_after.tolist() == [0, 1, 2, -1]
    np.testing.assert_array_equal(frame.score_before, [1.5, np.nan, 1, 2])
    np.testing.assert_array_equal(frame.score_after, [1, 0.75, 0.5, np.nan])
