"""
What goes on a home page?
=========================

You learn here how to turn one long list of recommendations into a page of rows, each
about one thing, how to keep the rows from repeating each other, and how to get the
items of one row alone.

A list of the best items is often ten times the same: who depends on one X11 library is
shown the other nine. A home page shows several things that a user may want, a row for
each. :class:`~sksparse_rec.LatentSegments` groups the items by the latents of their
embeddings, and its ``layout`` ranks the groups, and the items in each, for every user.
The "users" below are source packages of Debian, and what is recommended to them are
packages to depend on.
"""

# %%
# Items, segments and a user
# --------------------------
# A model of the interactions, and segments of what the users of an item like:
# :func:`~sksparse_rec.audience_embeddings`. Every item is in the four segments that are
# nearest to it. With its strongest latent alone it would be in one row at most, and
# many popular items in none. A segment is named by its two nearest members, as the data
# have no titles. The user is scikit-learn.

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse.linalg import norm

from sksparse_rec import (
    CompressedELSA,
    LatentSegments,
    audience_embeddings,
    top_items,
)
from sksparse_rec.datasets import load_debian
from sksparse_rec.plotting import SegmentLayoutDisplay

debian = load_debian()
X, names = debian.data, debian.item_ids
model = CompressedELSA(128, n_nonzero=16, max_iter=6, random_state=0).fit(X)
A = model.item_embeddings_
segments = LatentSegments(assign="nearest", n_latents=4, namer="items", n_words=2)
segments.fit(audience_embeddings(X, A), item_names=names)
sizes = segments.segment_sizes_
print(f"{len(sizes)} segments of {sizes.min()} to {sizes.max()} items")
print(f"{np.mean(segments.labels_ < 0):.0%} of the items are in none")

history = X[debian.user_ids == "scikit-learn"]
profile = model.transform(history)
print("scikit-learn depends on", ", ".join(names[history.indices]))

# %%
# The list
# --------
# The twelve best items, for comparison.

print(", ".join(names[top_items(model.recommend(history, k=12))[0][0]]))

# %%
# The page
# --------
# The segments that are most like the profile are the rows. ``seen`` leaves out what
# scikit-learn depends on already, and ``min_items`` passes over segments of which less
# than four items are left. With the ``item_embeddings`` of the model items are scored
# as in the list, so the best of all are at the left of their rows.


def show(page):
    for segment, items in zip(page.segments[0], page.items[0], strict=True):
        print(segments.segment_names_[segment])
        print("    " + ", ".join(names[items[items >= 0]]))


options = {"item_embeddings": A, "min_items": 4}
show(segments.layout(profile, n_rows=6, k=5, seen=history, **options))

# %%
# Rows that differ
# ----------------
# ``diversity`` takes rows that are like those above them further down, or off the page.
# Drawn as cards, with the scores below the names:

SegmentLayoutDisplay.from_estimator(
    segments,
    profile,
    n_rows=6,
    k=5,
    seen=history,
    item_names=names,
    layout_kw=options | {"diversity": 0.3},
    title="scikit-learn",
)

# %%
# What diversity costs
# --------------------
# For a thousand packages at once: how near the rows are to the profile, and how near
# each is to the most similar row above it, both as cosines. Pages of many users are
# arrays, and no page depends on the others.

users = np.random.default_rng(0).permutation(X.shape[0])[:1000]
profiles = model.transform(X[users])
lengths = norm(profiles, axis=1)[:, None]
C = segments.segment_embeddings_
cosines = (C @ C.T).toarray().clip(0)
levels = np.linspace(0, 0.9, 10)
relevance, repetition = [], []
for diversity in levels:
    page = segments.layout(
        profiles, 6, 5, seen=X[users], diversity=diversity, **options
    )
    full = (page.segments >= 0).all(axis=1)
    relevance.append((page.segment_scores[full] / lengths[full]).mean())
    rows = page.segments[full]
    above = [cosines[rows[:, :r], rows[:, [r]]].max(axis=1) for r in range(1, 6)]
    repetition.append(np.mean(above))

figure, ax = plt.subplots(layout="constrained")
ax.plot(levels, relevance, "o-", color="#0072B2", label="rows and profile")
ax.plot(levels, repetition, "s--", color="#D55E00", label="a row and those above it")
ax.set(xlabel="diversity", ylabel="mean cosine", ylim=(0, None))
ax.set_title("Debian packages: pages of six rows", loc="left")
ax.grid(alpha=0.3)
_ = ax.legend()

# %%
# One row alone
# -------------
# "Show more" of a row: ``recommend`` with its name, its id or its number. ``allow``,
# ``deny`` and ``seen`` are there as well.

row = segments.segment_names_[segments.recommend_segments(profile, k=1).indices[0]]
best = segments.recommend(profile, k=8, segment=row, seen=history, item_embeddings=A)
print(f"{row}: {', '.join(names[best.indices])}")

# %%
# As a table
# ----------
# A line for every item on the page, for a template or a database.

page = segments.layout(profile, 6, 5, seen=history, as_frame=True, **options)
page.round(2).head(7)

# %%
# What to remember
# ----------------
# The first row is where the best items are, and the further rows are what the list has
# no room for. A diversity of 0.3 takes a sixth off how alike the rows of a page are,
# and a twenty-fifth off how near they are to the profile; beyond 0.4 the profile has
# little to do with them. The larger ``n_latents``, the more of the list is on the page,
# and the less a row is about one thing.
