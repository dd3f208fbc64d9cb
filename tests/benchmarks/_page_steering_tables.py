"""The tables of the page on steering that compare ways, mappings and neurons."""

from _pages import join, mean, table
from _steering import MAX_MAPPED, OWN, STEERING_SYSTEMS, WAYS
from _steering_compare import (
    ALREADY,
    GOAL,
    MET,
    MISSED,
    NEVER,
    above_all,
    by_run,
    difference,
    liker_outcome,
    mapping_rows,
    paired,
    share_above,
)
from _steering_measures import MIN_LIKERS, SHARES, TOLERANCE
from _steering_rivals import SOME_STRENGTHS

# A filter is a point, not a curve.
CURVES = [way for way in WAYS if way != "filter"]


def number(value, digits=4, sign=False):
    if value is None:
        return ""
    return f"{value:{'+' if sign else ''}.{digits}f}"


def _means(values, digits=4):
    values = [value for value in values if value is not None]
    return mean(values, digits) if values else ""


def compare_all_users(records):
    parts = [
        f"""\
## All users, at the same share

nDCG@100 of all users where the mean share is {join(SHARES)}: of steering minus that
of another way, mean over the concepts that both bring there; above zero, steering is
better. In brackets the share of concepts for which it is. *Best of all*: the share of
concepts for which no other way is better."""
    ]
    parts.append(_against_others(records, "ndcg", ""))
    return "\n\n".join(parts)


def _against_others(records, measure, place):
    others = [way for way in CURVES if way != OWN]
    rows = []
    for (name, facet, system), runs in by_run(records).items():
        for at in SHARES:
            cells = []
            for way in others:
                pairs = [paired(run, way, at, measure) for run in runs]
                pairs = [each for each in pairs if each]
                if not pairs:
                    cells.append("")
                    continue
                value = sum(difference(each) for each in pairs) / len(pairs)
                above = sum(share_above(each) for each in pairs) / len(pairs)
                cells.append(f"{value:+.4f} ({above:.0%})")
            own = [
                value
                for run in runs
                for value in run["ways"][OWN][f"at {at}"][measure]
                if value is not None
            ]
            best = [above_all(run, at, measure) for run in runs]
            best = [each for each in best if each is not None]
            facts = [
                f"{len(own) / len(runs):.0f}",
                f"{sum(best) / len(best):.0%}" if best else "",
            ]
            label = STEERING_SYSTEMS[system].label
            rows.append([name, facet, label, f"{at}", *facts, *cells])
    header = ["data", "concepts", "system", "share", f"reach it{place}", "best of all"]
    return table(header + [f"minus {way}" for way in others], rows, 3)


def compare_likers(records):
    rows = []
    for (name, facet, system), runs in by_run(records).items():
        outcomes = [
            liker_outcome(run, place)
            for run in runs
            for place in range(len(run["concepts"]))
        ]
        n_judged = sum(each in (MET, MISSED) for each in outcomes)
        losses = [_loss(run, "liker") for run in runs]
        rows.append(
            [
                *(name, facet, STEERING_SYSTEMS[system].label),
                str(outcomes.count(None)),
                *(str(outcomes.count(each)) for each in (ALREADY, NEVER, MISSED, MET)),
                f"{outcomes.count(MET) / n_judged:.0%}" if n_judged else "",
                *(_means([loss[way] for loss in losses]) for way in CURVES),
            ]
        )
    header = [
        *("data", "concepts", "system", "few likers", "there already", "never there"),
        *("below", "not below", "share not below"),
        *CURVES,
    ]
    return f"""\
## Users who like the concept, at half of the list

nDCG@100 of those who like a concept, at the strength where **their** share reaches
{GOAL}, against their unsteered lists. Counts are of concepts in all seeds; the last
columns are nDCG@100 minus that of the unsteered list, of each way, mean over the
concepts that it brings there from below.

{table(header, rows, 3)}

The same, steering minus another way at the same share of those users:

{_against_others(records, "liker_ndcg", " (likers)")}

Of users with a **hidden** item of the concept, whom nobody knows beforehand, where
their share reaches {GOAL}, minus their unsteered lists:

{_takers(records)}"""


def _takers(records):
    rows = []
    for (name, facet, system), runs in by_run(records).items():
        losses = [_loss(run, "taker") for run in runs]
        cells = [_means([loss[way] for loss in losses]) for way in CURVES]
        rows.append([name, facet, STEERING_SYSTEMS[system].label, *cells])
    return table(["data", "concepts", "system", *CURVES], rows, 3)


def _loss(record, users):
    """Return nDCG at half of the list minus unsteered, of every way."""
    found = {}
    for way, kept in record["ways"].items():
        pairs = [
            (reached, before)
            for concept, share, before, reached in zip(
                record["concepts"],
                kept["first"][f"{users}_share"],
                kept["first"][f"{users}_ndcg"],
                kept[f"at {GOAL}"][f"{users}_ndcg"],
                strict=True,
            )
            if concept[f"n_{users}s"] >= MIN_LIKERS
            and reached is not None
            and share < GOAL
        ]
        found[way] = difference(pairs)
    return found


def compare_mappings(records):
    parts = []
    for (name, facet, system), runs in by_run(records).items():
        runs = [run for run in runs if run["mappings"]]
        if not runs:
            continue
        rows = [
            [
                row["name"],
                *(number(row[each], 3) for each in ("rising", "tolerant")),
                *(number(row[each], 3) for each in ("last", "reached")),
                *(number(row[each], 4, True) for each in ("ndcg", "liker_ndcg")),
            ]
            for row in mapping_rows(runs)
        ]
        header = [
            f"{name}, {facet}, {STEERING_SYSTEMS[system].label}",
            *("rising", f"within {TOLERANCE}", "share at 1", f"reach {GOAL}"),
            *("nDCG at 0.25", "nDCG at 0.25, likers"),
        ]
        parts.append(table(header, rows))
    if not parts:
        return ""
    return f"""\
## Mappings of neurons to concepts

Methods of `ConceptMap` and numbers of neurons, on at most {MAX_MAPPED} of the concepts
and with {len(SOME_STRENGTHS)} strengths: the share of concepts whose share never falls,
the mean share at strength 1, the share of concepts that fill half of the list, and
nDCG@100 minus unsteered where the mean share is a quarter, on the concepts that all
mappings bring there (of all users, and of those who like them at their own quarter).

""" + "\n\n".join(parts)


def compare_neurons(records):
    rows = []
    for (name, facet, system), runs in by_run(records).items():
        for kind in runs[0]["monosemanticity"]:
            found = [run["monosemanticity"][kind] for run in runs]
            rows.append(
                [
                    *(name, facet, STEERING_SYSTEMS[system].label, kind),
                    f"{found[0]['n_neurons']:,}",
                    *(
                        mean([each[measure] for each in found], 3)
                        for measure in (
                            *(
                                "clear_share",
                                "precision",
                                "auc",
                                "selectivity",
                                "entropy",
                            ),
                            *("dead_share", "duplicate_share"),
                        )
                    ),
                ]
            )
    if not rows:
        return ""
    header = [
        *("data", "concepts", "system", "of", "number", "clear", "precision", "AUC"),
        *("selectivity", "entropy", "dead", "duplicate"),
    ]
    return f"""\
## How clear neurons are

`sksparse_rec.metrics.monosemanticity` of the activations of items: the share of neurons
with a clear concept; means over the neurons that are not dead. Random directions are as
many as neurons, in the space of the dense latents.

{table(header, rows, 4)}"""
