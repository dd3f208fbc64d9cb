"""
How many non-zeros does my catalogue need?
==========================================

You learn here how to choose the size of sparse item embeddings on held-out users: by
quality, by a loss that you can afford, or by a budget of bytes.

The number of non-zeros of an item decides how many bytes it takes.
:class:`~sksparse_rec.CompressedELSACV` trains a path through all levels for each fold
of users, scores every level on the users left out, and selects one. The data are as in
the example before: which packages does a source package of Debian depend on?
"""

# %%
# Data
# ----
# A thousand rows stay out of everything below until the end.

from sklearn.model_selection import ShuffleSplit, cross_val_score, train_test_split

from sksparse_rec import CompressedELSA, CompressedELSACV
from sksparse_rec.datasets import load_debian
from sksparse_rec.plotting import SparsityPathDisplay

debian = load_debian()
X_train, X_test = train_test_split(debian.data, test_size=1000, random_state=0)
n_items = X_train.shape[1]
print(f"{X_train.shape[0]} rows to choose by, {X_test.shape[0]} for the end")

# %%
# All levels on the same folds
# ----------------------------
# Rows are sorted by name, so they are shuffled: three times, 1,000 rows are left out of
# the training and scored. With ``rule=0.025`` the smallest level is selected that loses
# at most 2.5 % of the best. Fewer epochs and components than the defaults keep this
# under a minute.

search = CompressedELSACV(
    512,
    n_nonzero=(64, 32, 16, 8, 4),
    rule=0.025,
    cv=ShuffleSplit(3, test_size=1000, random_state=0),
    max_iter=5,
    max_iter_per_level=2,
    batch_size=1024,
    random_state=0,
).fit(X_train)

print(f"{'non-zeros':>9}{'bytes':>7}{'nDCG@100':>10}   of the folds")
for level, scores in zip(search.n_nonzero_grid_, search.score_path_, strict=True):
    mark = "  <- selected" if level == search.n_nonzero_ else ""
    folds = " ".join(f"{score:.3f}" for score in scores)
    print(f"{level:>9}{8 * level:>7}{scores.mean():>10.4f}   {folds}{mark}")

# %%
# The picture
# -----------
# Points are the folds, the band is one standard error of their mean. The folds differ
# more from each other than neighbouring levels do, but they agree on the order. A short
# dense model of 64 dimensions takes as many bytes as 32 non-zeros; the line is its
# score on the same folds.

dense = CompressedELSA(64, n_nonzero=None, loss="relu", batch_size=1024, random_state=0)
baseline = cross_val_score(dense, X_train, cv=search.cv).mean()
display = SparsityPathDisplay.from_estimator(
    search, baselines={"dense, 64 dimensions, 256 B": baseline}
)
_ = display.ax_.set_title("Debian dependencies: quality against bytes", loc="left")

# %%
# The other rules
# ---------------
# "best" takes the highest mean; "one_standard_error" the smallest level within the band
# of the best. Both can be read off the scores that the search has kept, without
# training again.

means = search.score_path_.mean(axis=1)
best = search.score_path_[means.argmax()]
error = best.std(ddof=1) / len(best) ** 0.5
losses = {"best": 0, "one standard error": error}
losses |= {f"at most {share:.1%} less": share * max(means) for share in (0.01, 0.05)}
for rule, loss in losses.items():
    enough = search.n_nonzero_grid_[means >= max(means) - loss]
    print(f"{rule:<20}{min(enough):>3} non-zeros")

# %%
# A budget
# --------
# If the size is given, say so: ``max_bytes_per_item`` or, for the whole catalogue,
# ``max_bytes``. Levels above it make way for the largest one that fits. A single split
# is enough where there is little to choose between.

budget = 400_000
cheap = CompressedELSACV(
    512,
    max_bytes=budget,
    cv=ShuffleSplit(1, test_size=1000, random_state=0),
    max_iter=5,
    max_iter_per_level=2,
    batch_size=1024,
    random_state=0,
).fit(X_train)
A = cheap.item_embeddings_
n_bytes = A.data.nbytes + A.indices.nbytes
print(f"{budget / n_items:.1f} bytes an item pay for {cheap.n_nonzero_grid_[0]}")
print(f"selected {cheap.n_nonzero_}: {n_bytes:,} bytes for {n_items} items")

# %%
# At the end
# ----------
# The fair score comes from users who had no part in the choice of the level. The
# largest level, trained for itself, is there to compare.

largest = CompressedELSA(
    512, n_nonzero=64, max_iter=5, batch_size=1024, random_state=0
).fit(X_train)
for name, model in [("64 non-zeros", largest), ("selected", search), ("budget", cheap)]:
    n_bytes = 8 * model.n_nonzero_
    print(f"{name:<14}{n_bytes:>5} bytes{model.score(X_test):>9.4f}")

# %%
# If 2.5 % may be lost, these data need 32 non-zeros an item, half the bytes of 64. Each
# halving costs more than the one before, about 1, 2, 3 and 5 %, and no bend in the
# curve says where to stop: the loss that you can afford decides, or the bytes that you
# have. Eight non-zeros are still better than 64 dense dimensions, at a quarter of the
# bytes.
