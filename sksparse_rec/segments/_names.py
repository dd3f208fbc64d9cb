"""Names of segments, from what is known of their items."""

import numpy as np
from sklearn.utils import Bunch

from sksparse_rec.segments._assignment import pair_latents
from sksparse_rec.segments._words import best_words

# Where names come from, in the order in which they are asked if ``namer`` does not say:
# the argument of ``fit`` and the field of ``Material`` that each needs.
SOURCES = {
    "tags": ("item_tags", "tags"),
    "texts": ("item_texts", "words"),
    "anchors": ("anchors", "anchors"),
    "items": ("item_names", "item_names"),
}
# Words and tags that a callable is told.
N_FACTS = 20


def check_namer(namer, material):
    """Raise if names are to be made of what there is not."""
    if isinstance(namer, str) and namer in SOURCES:
        argument, field = SOURCES[namer]
        if getattr(material, field) is None:
            raise ValueError(f"namer={namer!r} needs {argument}: pass it to fit")


def segment_ids(pairs):
    """Return ids of segments by their first pairs: "12+" or "3-"."""
    latents, signs = pair_latents(pairs)
    ids = np.empty(len(pairs), dtype=object)
    ids[:] = [
        f"{latent}{'+' if sign > 0 else '-'}"
        for latent, sign in zip(latents, signs, strict=True)
    ]
    return ids


def describe(partition, material, n_words):
    """Return what is known of every segment, a list of Bunch.

    Parameters
    ----------
    partition : Partition
    material : Material
    n_words : int
        Words and tags to find.
    """
    n_segments = len(partition.first_pairs)
    found = {
        field: [None] * n_segments
        if counted is None
        else best_words(counted, partition.labels, n_segments, n_words)
        for field, counted in (("words", material.words), ("tags", material.tags))
    }
    ids = segment_ids(partition.first_pairs)
    latents, signs = pair_latents(partition.first_pairs)
    facts = []
    for segment in range(n_segments):
        items, weights = partition.members.of(segment)
        latent = int(latents[segment])
        anchor = None if material.anchors is None else int(material.anchors[latent])
        anchor = None if anchor == -1 else anchor
        facts.append(
            Bunch(
                id=ids[segment],
                latent=latent,
                sign=int(signs[segment]),
                size=len(items),
                items=items,
                weights=weights,
                item_names=_pick(material.item_names, items),
                texts=_pick(material.texts, items),
                words=found["words"][segment],
                tags=found["tags"][segment],
                anchor=anchor,
                anchor_name=None if anchor is None else _item_name(material, anchor),
            )
        )
    return facts


def _pick(values, items):
    return None if values is None else [values[item] for item in items]


def _item_name(material, item):
    names = material.item_names
    return f"item {item}" if names is None else names[item]


def name_segments(namer, n_words, partition, material, known=None):
    """Return the names of segments, which need not be unique.

    Parameters
    ----------
    namer : callable, str or None
        As the parameter of `LatentSegments`.
    n_words : int
        Words of a name.
    partition : Partition
    material : Material
    known : dict of int to str, default=None
        Names by first pair that a callable has given already; it is not asked again.

    Raises
    ------
    TypeError, ValueError
        If a callable returns anything but a string that says something.
    """
    if callable(namer):
        facts = describe(partition, material, max(N_FACTS, n_words))
        known, pairs = known or {}, partition.first_pairs
        return [
            known[pair] if pair in known else _checked(namer(fact), fact)
            for pair, fact in zip(pairs, facts, strict=True)
        ]
    first = () if namer is None else (namer,)
    sources = () if namer == "ids" else (*first, *SOURCES)
    facts = describe(partition, material, n_words)
    return [_name(fact, sources, n_words) for fact in facts]


def _checked(name, fact):
    where = f"for segment {fact.id!r} of {fact.size} items"
    if not isinstance(name, str):
        raise TypeError(f"namer returned {name!r:.100} {where}: it must return a str")
    name = " ".join(name.split())
    if not name:
        raise ValueError(f"namer returned an empty name {where}")
    return name


def _name(fact, sources, n_words):
    """Return the name by the first source that has one, or the id."""
    for source in sources:
        if source == "tags" and fact.tags:
            return ", ".join(fact.tags)
        if source == "texts" and fact.words:
            return ", ".join(fact.words)
        if source == "anchors" and fact.anchor is not None:
            return fact.anchor_name if fact.sign > 0 else f"not {fact.anchor_name}"
        if source == "items" and fact.item_names:
            return ", ".join(fact.item_names[:n_words])
    return fact.id
