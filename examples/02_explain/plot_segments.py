"""
What do the dimensions of sparse embeddings mean?
=================================================

You learn here how items group by their strongest dimension, what such a group is called
and which groups make up a user's taste, and how to say in words why something is
recommended.

A dense embedding is a point somewhere between all others. A sparse one has a few
dimensions, and items that share their strongest one have something in common:
:class:`~sksparse_rec.LatentSegments` makes a segment of them. The data are packages of
Debian: source packages are the "users", and the packages that they depend on the
"items".
"""

# %%
# Segments and their names
# ------------------------
# An item belongs to its dominant dimension (the latent of largest magnitude, with its
# sign). Names are made of the items' tags, here the curated ones of Debian: those that
# are common inside and rare elsewhere.

import numpy as np

from sksparse_rec import CompressedELSA, LatentSegments
from sksparse_rec.datasets import load_debian
from sksparse_rec.plotting import LatentActivationDisplay, SegmentMapDisplay

debian = load_debian()
X, item_names = debian.data, debian.item_ids
model = CompressedELSA(
    256, n_nonzero=16, max_iter=5, batch_size=1024, random_state=0
).fit(X)
segments = LatentSegments(n_words=2).fit(
    model.item_embeddings_,
    item_tags=debian.item_tags,
    tag_names=debian.tag_names,
    item_names=item_names,
)
n_outliers = np.sum(segments.labels_ < 0)
print(f"{len(segments.segment_names_)} segments, {n_outliers} items in none")
for segment, name in enumerate(segments.segment_names_[:8]):
    items, _ = segments.items_of(segment=segment)
    print(f"{name}\n    {', '.join(item_names[items[:4]])}")

# %%
# The map
# -------
# The forty largest, with similar ones near each other. Read it from a segment to its
# neighbours: distances across the map say little.

display = SegmentMapDisplay.from_estimator(segments, n_segments=40)
_ = display.ax_.set_title("The largest segments of Debian packages", loc="left")

# %%
# What a row is made of
# ---------------------
# The profile of scikit-learn's source package: its strongest latents, each called by
# the package that it started from, and the segments that have these latents with this
# sign.

history = X[debian.user_ids == "scikit-learn"]
print("scikit-learn depends on", ", ".join(item_names[history.indices]))
display = LatentActivationDisplay.from_estimator(
    model, history, segments=segments, item_names=item_names
)
_ = display.ax_.set_title("scikit-learn", loc="left")

# %%
# A map of its own: the thirty segments that the profile matches most, darker where it
# does so more.

profile = model.transform(history)
match = (segments.segment_embeddings_ @ profile.T).toarray().ravel()
nearest = np.argsort(-match, kind="stable")[:30]
display = SegmentMapDisplay.from_arrays(
    segments.segment_embeddings_[nearest],
    segments.segment_sizes_[nearest],
    segments.segment_names_[nearest],
    values=match[nearest],
    value_name="match with scikit-learn",
)

# %%
# Why is this recommended?
# ------------------------
# A score is a sum over the history, over segments and over latents. The three best
# recommendations in words; every part is exact, and what is not named is summed up.

best = model.recommend(history, k=3).indices
explanation = model.explain(history, best, segments=segments)
print(explanation.to_text(item_names, by=["history", "segment"]))

# %%
# The same numbers as a table.

frame = explanation.to_frame(item_names, by="segment")
print(frame.groupby("item_name", sort=False).head(3).to_string(index=False))

# %%
# And without it?
# ---------------
# Contributions tell what speaks for an item, not whether it would be missed: the rest
# of the history may say the same. ``without`` makes the list of the shorter history and
# compares. Nothing is trained again, as the model has no parameters of users.

for name in ("python3-numpy", "python3-pytest", "libc6"):
    item = np.flatnonzero(item_names == name)
    print(model.without(history, item, k=10, deny=item).to_text(item_names))

# %%
# What to remember
# ----------------
# The dominant latent sorts items into groups with names, and the same latents explain
# scores: which segments of a profile an item matches, which items of the history speak
# for it, and what would change without one of them.
