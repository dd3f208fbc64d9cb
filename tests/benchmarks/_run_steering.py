"""Child process: train, steer test users towards every concept, and measure.

Targets are read only by the judge of lists that are made without them.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from _estimators import on_device
from _process import peak_memory, reset_peak_memory, versions_of
from _run_segments import PACKAGES
from _steering import OWN, RANDOM
from _steering_measures import LIST_LENGTH, Judge
from _steering_rivals import SOME_STRENGTHS, STRENGTHS, Scores, TagRivals
from sklearn.decomposition import TruncatedSVD

from sksparse_rec import (
    CompresSAE,
    CompressedELSA,
    ConceptMap,
    SteerableRecommender,
    top_items,
)
from sksparse_rec.metrics import monosemanticity

ESTIMATORS = {"elsa": CompressedELSA, "svd": TruncatedSVD}


def main():
    """Run the task that the command line names."""
    task = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(task["threads"])
    data = {
        name: sp.csr_array(sp.load_npz(path)) for name, path in task["paths"].items()
    }
    baseline, started = reset_peak_memory(), time.perf_counter()
    steerable = make_steerable(task)
    steerable.fit(data["train"], item_concepts=data["tags"])
    report = {
        "fit_seconds": time.perf_counter() - started,
        "baseline_bytes": baseline,
        "fit_peak_bytes": peak_memory(),
        "insertion_loss": plain(steerable.insertion_loss_),
        "concept_map": repr(steerable.concept_map_),
    }
    curves, grids, facts = steer_concepts(task, steerable, data)
    monosemantic = judge_neurons(steerable, data["tags"], task["seed"])
    report |= facts | {
        "monosemanticity": monosemantic,
        "seconds": time.perf_counter() - started,
        "versions": versions_of(PACKAGES),
    }
    np.savez(task["curves"], **curves)
    np.savez(task["grids"], **grids)
    Path(task["report"]).write_text(json.dumps(report))


def make_steerable(task):
    """Make what the task asks for; nothing is trained yet."""
    params, seed = task["params"], task["seed"]
    settings = {**params["settings"], "random_state": seed}
    if params["estimator"] == "elsa":
        settings |= on_device(task)
    recommender = ESTIMATORS[params["estimator"]](**settings)
    sae = None
    if "sae" in params:
        sae = CompresSAE(**params["sae"], random_state=seed, **on_device(task))
    concept_map = ConceptMap(**params.get("concept_map", {}))
    return SteerableRecommender(
        recommender, sae=sae, concept_map=concept_map, random_state=seed
    )


def item_factors(recommender):
    """Return the dense factors of the items, (n_items, n_profile)."""
    if isinstance(recommender, TruncatedSVD):
        return recommender.components_.T
    return sp.csr_array(recommender.item_embeddings_).toarray()


def steer_concepts(task, steerable, data):
    """Steer to every concept of the task in every way.

    Returns
    -------
    curves, grids : dict
        By the name of the way: arrays (n_concepts, n_points, n_measures), and how
        strong each point is.
    facts : dict
        For the record.
    """
    history, tags = data["history"], data["tags"]
    judge = Judge(history, data["targets"], tags)
    factors = item_factors(steerable.recommender_)
    scores = Scores(factors, history)
    popularity = np.bincount(data["train"].indices, minlength=tags.shape[0])
    rivals = TagRivals(scores, popularity)
    before = steerable.recommend(history, k=LIST_LENGTH)
    curves, grids = {}, {OWN: STRENGTHS}
    facts = {"concepts": [], "unchanged": is_base(steerable, history, before)}
    directions = steerable.concept_directions_
    for concept in task["concepts"]:
        direction, lists = dense_row(directions, concept), [before] * len(STRENGTHS)
        # A concept for which no neuron stands cannot be steered.
        if direction.any():
            lists = own_lists(steerable, history, concept)
        facts["unchanged"]["strength 0"] &= same_bits(lists[0], before)
        rows = [judge.measure(top_items(each)[0], concept) for each in lists]
        curves.setdefault(OWN, []).append(rows)
        found = rivals.curves(
            judge.tags[concept], lambda lists, at=concept: judge.measure(lists, at)
        )
        for way, (grid, values) in found.items():
            grids[way] = grid
            curves.setdefault(way, []).append(values)
        precision = precision_of(factors, direction, judge.tags[concept])
        facts["concepts"].append({**judge.describe(concept), "precision": precision})
    for way, values in mapped_curves(task, steerable, scores, judge, tags).items():
        curves[way], grids[way] = values, SOME_STRENGTHS
    return {way: np.array(values) for way, values in curves.items()}, grids, facts


def own_lists(steerable, history, concept):
    """Return the lists that are steered to a concept, with every strength."""
    name = steerable.concept_map_.concept_names_[concept]
    return [
        steerable.recommend(history, k=LIST_LENGTH, steer={name: strength})
        for strength in STRENGTHS
    ]


def is_base(steerable, history, before):
    """Tell whether nothing but the base model's lists is given without steering."""
    recommender = steerable.recommender_
    facts = {"strength 0": True}
    if hasattr(recommender, "recommend"):
        own = recommender.recommend(history, k=LIST_LENGTH)
        facts["the recommender's own"] = bool(
            np.array_equal(top_items(own)[0], top_items(before)[0])
        )
    return facts


def same_bits(found, expected):
    """Tell whether two sparse matrices are stored in the same bits."""
    return bool(
        all(
            getattr(found, name).tobytes() == getattr(expected, name).tobytes()
            for name in ("data", "indices", "indptr")
        )
    )


def mapped_curves(task, steerable, scores, judge, tags):
    """Return the curves of every mapping of neurons to concepts.

    The rotation is that of the estimator, computed here from scores that are there.
    """
    activations = steerable.item_activations_
    decoder = None if steerable.sae_ is None else steerable.sae_.components_
    found = {}
    for method in task["methods"]:
        for n_neurons in task["n_neurons"]:
            concept_map = ConceptMap(method=method, n_neurons=n_neurons)
            weights = sp.csr_array(concept_map.fit(activations, tags).weights_)
            found[f"{method}, {n_neurons}"] = [
                mapped_curve(weights[[concept]], decoder, scores, judge, concept)
                for concept in task["mapped"]
            ]
    return found


def mapped_curve(weights, decoder, scores, judge, concept):
    """Return the curve of a concept that is a weighted set of neurons."""
    direction = weights if decoder is None else weights @ decoder
    direction = dense_row(direction, 0)
    if not direction.any():
        unsteered = judge.measure(scores.lists(scores.of_units.copy()), concept)
        return [unsteered] * len(SOME_STRENGTHS)
    return [
        judge.measure(scores.lists(scores.rotated(direction, strength)), concept)
        for strength in SOME_STRENGTHS
    ]


def dense_row(rows, place):
    """Return a row of a sparse or dense matrix."""
    row = rows[[place]]
    return np.asarray(row.todense() if sp.issparse(row) else row).ravel()


def precision_of(factors, direction, tagged):
    """Return the share of tagged items among as many that a direction ranks first."""
    along = factors @ direction.astype(factors.dtype)
    first = np.argsort(-along, kind="stable")[: tagged.sum()]
    return float(tagged[first].mean())


def judge_neurons(steerable, tags, seed):
    """Return how clearly neurons speak for concepts, beside dense and random ones."""
    activations = steerable.item_activations_
    rows = {"neurons": activations}
    if steerable.sae_ is not None:
        factors = item_factors(steerable.recommender_)
        rng = np.random.default_rng(seed)
        drawn = rng.normal(size=(factors.shape[1], activations.shape[1]))
        drawn /= np.linalg.norm(drawn, axis=0)
        rows["dense latents"] = factors
        rows[RANDOM] = factors @ drawn.astype(factors.dtype)
    return {
        name: summary_of(monosemanticity(each, tags)) for name, each in rows.items()
    }


def summary_of(result):
    """Return shares, and means over the neurons that are not dead."""
    live = ~np.asarray(result.is_dead)
    means = {
        name: float(np.nanmean(np.asarray(getattr(result, name))[live]))
        for name in ("precision", "entropy", "selectivity", "auc")
    }
    shares = {
        name: float(getattr(result, name))
        for name in ("clear_share", "dead_share", "duplicate_share")
    }
    return {"n_neurons": len(live), **shares, **means}


def plain(value):
    """Return numbers that can be written as JSON."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return np.asarray(value).tolist()


if __name__ == "__main__":
    main()
