"""
How does a trained model answer queries?
========================================

You learn here how to serve sparse embeddings without the model that made them: an index
that finds the best items exactly, with filters and your own ids, takes new items while
it runs, is shared between processes from a file, and says what it costs in memory.
"""

# %%
# From a model to an index
# ------------------------
# A model recommends to source packages of Debian what they could depend on. Its item
# embeddings are all that an answer needs. The popularity of the items goes along, by
# which equal scores are ordered.

import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sksparse_rec import CompressedELSA, SparseIndex
from sksparse_rec.datasets import load_debian
from sksparse_rec.export import recommend_to_parquet

debian = load_debian()
X, names, sections = debian.data, debian.item_ids, debian.item_sections
known, new = np.arange(len(names))[:-5], np.arange(len(names))[-5:]
model = CompressedELSA(512, n_nonzero=16, max_iter=5, random_state=0)
model.fit(X[:, known])

popularity = np.bincount(X[:, known].indices)
index = SparseIndex(
    model.item_embeddings_, ids=names[known], popularity=popularity, dtype="float16"
)
print(index)

# %%
# A query
# -------
# A query is a profile, the sum of the embeddings of what somebody has. About half of
# its entries are not zero; the entries of an item, 16 of 512, make a sparse query. Both
# are found exactly, each in the way that costs less.

history = X[debian.user_ids == "scikit-learn"][:, known]
profile = model.transform(history)
ids, scores = index.search_ids(profile, k=5, exclude=history)
print("scikit-learn could depend on:")
for name, score in zip(ids[0], scores[0], strict=True):
    print(f"   {score:6.2f}  {name}")

# %%
# Filters
# -------
# ``allow`` and ``deny`` are ids for all queries, or a mask with a row for each query.
# Filters come before the ranking: a list is as long as was asked for.

libraries = names[known][sections[known] == "libs"]
ids, _ = index.search_ids(profile, k=3, allow=libraries, deny=["libc6"])
print("libraries alone:", ", ".join(ids[0]))

# %%
# Items come and go
# -----------------
# Five packages were unknown to the training. What depends on them gives them a code,
# and they can be found at once. An index in use may be searched by other threads
# meanwhile: they see it before the change or after it.

index.add(names[new], model.encode_items(X[:, new]))
ids, _ = index.search_ids(model.encode_items(X[:, new]), k=3)
for name, found in zip(names[new], ids, strict=True):
    others = [other for other in found if other != name]
    print(f"{name}: near {', '.join(others[:2])}")
index.remove(names[new[:1]])
print(f"{len(index)} items")

# %%
# From a file, at once
# --------------------
# ``open`` maps the file into memory. It takes milliseconds whatever the size, and
# processes that open the same file share its memory. Nothing in it can run code.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "packages"
    index.save(path)
    started = time.perf_counter()
    opened = SparseIndex.open(path)
    print(f"opened in {1000 * (time.perf_counter() - started):.0f} ms: {opened}")

    # Everybody's lists, in bounded memory; a repeated call goes on where it was.
    recommend_to_parquet(
        model, X[:, known], Path(folder) / "lists", user_ids=debian.user_ids
    )
    print(sorted(file.name for file in Path(folder, "lists").glob("*.parquet")))

# %%
# What an item takes
# ------------------
# An entry is two bytes for its latent and two or four for its value. The second layout,
# by latent, makes sparse queries fast in large catalogues; leave it out where memory is
# scarce. The dense vectors are those of a dense model that recommends about as well.

sizes = {"dense, 256 × float32": 4 * 256}
for dtype in ("float32", "float16"):
    for inverted in (True, False):
        built = SparseIndex(model.item_embeddings_, dtype=dtype, inverted=inverted)
        layouts = "rows and lists" if inverted else "rows only"
        sizes[f"index, {dtype}, {layouts}"] = built.nbytes / len(built)

fig, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
bars = ax.barh(list(sizes), list(sizes.values()), color=["0.6"] + ["#0072B2"] * 4)
ax.bar_label(bars, fmt="{:,.0f}", padding=4)
ax.invert_yaxis()
ax.set(xlabel="bytes per item", xlim=(0, 1.12 * max(sizes.values())))
ax.set_title("Debian packages: memory of an index", loc="left")
_ = ax.spines[["top", "right"]].set_visible(False)
