"""
How many bytes does an item need?
=================================

You learn here how small the embeddings of items can be made before recommendations
suffer, and what sparse embeddings gain over short dense ones at the same size.

Embeddings are usually made small by giving them fewer dimensions.
:class:`~sksparse_rec.CompressedELSA` keeps many dimensions (1024 below) and stores only
a few non-zeros of each item. We compare both on real data: which packages does a
source package of Debian depend on?
"""

# %%
# Data
# ----
# Rows are source packages, the "users"; columns are the packages that they depend on,
# the "items". We hold 1,000 rows out of training and hide a fifth of each: a model sees
# the rest of the row and should find what is hidden. The row of scikit-learn is among
# them, so that we can look at its recommendations later.

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.model_selection import train_test_split

from sksparse_rec import CompressedELSA, top_items
from sksparse_rec.datasets import load_debian
from sksparse_rec.metrics import evaluate_ranking
from sksparse_rec.model_selection import holdout_split

debian = load_debian()
X, item_names = debian.data, debian.item_ids
known = np.flatnonzero(debian.user_ids == "scikit-learn")[0]
others = np.delete(np.arange(X.shape[0]), known)
train, test = train_test_split(others, test_size=999, random_state=0)
X_train, X_test = X[train], X[np.append(known, test)]
X_history, X_hidden = holdout_split(X_test, test_share=0.2, random_state=0)
print(f"{X_train.shape[0]} rows to learn from, {X_test.shape[0]} to judge by")
print(f"{X.shape[1]} items, {X.nnz / X.shape[0]:.1f} ones a row on average")

# %%
# Sparse embeddings
# -----------------
# One model for each number of non-zeros. A non-zero takes 8 bytes here: a float32 value
# and an int32 column, as the papers count. With up to 65,536 components a column fits 2
# bytes, and with values of 2 bytes it is 4; dense embeddings can be halved in the same
# way, so the comparison stays as it is. Five epochs instead of ten, and batches of 1024
# instead of 512 rows, are less than the best but keep this under a minute.


def quality(model):
    """Mean nDCG@100 and recall@20 on the hidden items."""
    R = model.recommend(X_history, k=100)
    means = evaluate_ranking(X_hidden, R, metrics=["ndcg@100", "recall@20"]).means
    return means["ndcg@100"], means["recall@20"]


def report(name, n_bytes, ndcg, recall):
    print(f"{name:<28}{n_bytes:>9.0f}{ndcg:>12.3f}{recall:>12.3f}")


header = f"{'':<28}{'bytes':>9}{'nDCG@100':>12}{'recall@20':>12}"
print(header)
models, sparse = {}, []
for n_nonzero in (4, 8, 16, 32):
    model = CompressedELSA(
        1024, n_nonzero=n_nonzero, max_iter=5, batch_size=1024, random_state=0
    )
    models[n_nonzero] = model.fit(X_train)
    n_bytes = 8 * model.item_embeddings_.nnz / X.shape[1]
    sparse.append((n_bytes, *quality(model)))
    report(f"{n_nonzero} of 1024", *sparse[-1])

# %%
# Short dense embeddings
# ----------------------
# ELSA without sparsity (``n_nonzero=None``) in few dimensions, with the relu loss that
# does better here; scikit-learn's :class:`~sklearn.decomposition.TruncatedSVD` as a
# recommender; and a list of the most popular items, the same for everyone. A dense
# value takes 4 bytes, so 16 dimensions are as large as 8 non-zeros.


class FromScores:
    """Recommends by dense scores: enough for a rival on a small catalogue."""

    def __init__(self, scores):
        self.scores = scores

    def recommend(self, X, k):
        scores = np.where(X.toarray() > 0, -np.inf, self.scores(X))
        return np.argsort(-scores, axis=1, kind="stable")[:, :k]


print(header)
dense, svd = [], []
for n_components in (16, 32, 64, 128):
    n_bytes = 4 * n_components
    model = CompressedELSA(
        n_components, n_nonzero=None, loss="relu", random_state=0
    ).fit(X_train)
    dense.append((n_bytes, *quality(model)))
    report(f"dense ELSA, {n_components}", *dense[-1])
    V = TruncatedSVD(n_components, random_state=0).fit(X_train).components_
    svd.append((n_bytes, *quality(FromScores(lambda X, V=V: (X @ V.T) @ V))))
    report(f"TruncatedSVD, {n_components}", *svd[-1])
popularity = np.asarray(X_train.sum(axis=0)).ravel()
popular = (0, *quality(FromScores(lambda X: popularity)))
report("most popular", *popular)

# %%
# What a model recommends
# -----------------------
# The recommendations for scikit-learn, from what is left of its row. A star marks what
# was hidden; ``explain`` names what in the history speaks for an item most.

model = models[16]
history, hidden = X_history[[0]], X_hidden[[0]]
print("scikit-learn depends on", ", ".join(item_names[history.indices]))
ids, scores = top_items(model.recommend(history, k=10))
because = model.explain(history, ids[0]).by_history.toarray()
print(f"\n  {'recommended':<22}{'score':>7}   because of")
for item, score, shares in zip(ids[0], scores[0], because, strict=True):
    star = "*" if item in hidden.indices else " "
    reasons = ", ".join(item_names[np.argsort(-shares)[:2]])
    print(f"{star} {item_names[item]:<22}{score:>7.2f}   {reasons}")

# %%
# Neighbours in the catalogue come from the embeddings alone.

print(f"\n{'item':<14} nearest items")
for name in ("python3-numpy", "r-base-core", "libgtk-3-0", "ffmpeg"):
    item = np.flatnonzero(item_names == name)
    neighbours, _ = top_items(model.similar_items(item, k=5))
    print(f"{name:<14} {', '.join(item_names[neighbours[0]])}")

# %%
# The picture
# -----------

import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
curves = [
    ("sparse: 4 to 32 of 1024", sparse, "o-", "#0072B2"),
    ("dense ELSA: 16 to 128 dimensions", dense, "s--", "#D55E00"),
    ("TruncatedSVD: 16 to 128 dimensions", svd, "^:", "#555555"),
]
for label, points, style, color in curves:
    n_bytes, ndcg, _ = zip(*points, strict=True)
    ax.plot(n_bytes, ndcg, style, color=color, label=label, linewidth=2)
ax.axhline(popular[1], color="#999999", linewidth=1)
ax.annotate("most popular items", (32, popular[1]), (0, 4), textcoords="offset points")
ticks = [32, 64, 128, 256, 512]
ax.set_xscale("log", base=2)
ax.set_xticks(ticks, ticks)
ax.set(xlabel="bytes per item", ylabel="nDCG@100 on held-out rows")
ax.set_ylim(bottom=0)
ax.set_title(
    "Debian dependencies: quality against the size of an embedding", loc="left"
)
ax.spines[["top", "right"]].set_visible(False)
ax.grid(axis="y", color="#dddddd")
ax.set_axisbelow(True)
ax.legend(loc="lower right", frameon=False)

# %%
# At the same size, a few non-zeros out of many dimensions recommend better than a few
# dimensions: on these data 8 non-zeros (64 bytes) are about as good as 128 dense
# dimensions (512 bytes).
