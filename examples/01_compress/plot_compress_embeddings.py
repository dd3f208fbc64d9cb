"""
How small can embeddings get before neighbours are lost?
========================================================

You learn here how to compress a table of dense embeddings into sparse codes, how many
of the nearest neighbours survive at each size, and what is left if the same bytes are
spent on fewer dimensions.

Embeddings come from many places: a language model, a two-tower network, a matrix
factorisation. All that matters here is that they are compared by cosine.
:class:`~sksparse_rec.CompresSAE` replaces each of them by a few entries out of many
latents. The embeddings below are made of the bundled data, packages of Debian and what
they depend on; the last cell shows where to put a language model.
"""

# %%
# Dense embeddings
# ----------------
# A vector of 256 factors for each source package: packages that depend on similar
# things are near each other. In float16 it takes 512 bytes. A thousand packages stay
# out of the training and are the queries, as new rows are in practice. Scikit-learn is
# one of them.

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.model_selection import train_test_split

from sksparse_rec import CompresSAE, memory_report, top_items
from sksparse_rec.datasets import load_debian
from sksparse_rec.plotting import CompressionTradeoffDisplay

debian = load_debian()
embeddings = TruncatedSVD(256, random_state=0).fit_transform(debian.data)
known = np.flatnonzero(np.isin(debian.user_ids, ["scikit-learn", "gimp", "vlc"]))
others = np.setdiff1d(np.arange(len(embeddings)), known)
catalogue, queries = train_test_split(others, test_size=997, random_state=0)
queries = np.append(known, queries)
E, E_queries, names = embeddings[catalogue], embeddings[queries], debian.user_ids
print(f"{len(E)} vectors to compress, {len(E_queries)} queries")

# %%
# Sparse codes
# ------------
# 32 entries out of 1024 latents. An entry takes 4 bytes where it is stored: a value of
# 2 bytes and, as there are less than 65,536 latents, 2 bytes for which one it is. So a
# code takes 128 bytes, a quarter of the vector. Half the default number of epochs and a
# quarter of the latents keep this under a minute.

model = CompresSAE(1024, n_nonzero=32, max_iter=8, random_state=0).fit(E)
codes = model.transform(E_queries)
print(f"codes: {codes.shape}, {codes.nnz / codes.shape[0]:.0f} entries a row")
print(f"cosine of vectors and reconstructions: {model.score(E_queries):.3f}")
print(f"latents in no code: {model.dead_fraction_:.1%}")

# %%
# Neighbours before and after
# ---------------------------
# ``recommend`` searches the catalogue in three ways: it compares the codes; or what
# both of them rebuild; or, as the query is at hand, the query itself with what the
# codes of the catalogue rebuild. A star marks one of the ten nearest dense vectors.

unit = E / np.linalg.norm(E, axis=1, keepdims=True)
for name in ("scikit-learn", "gimp", "vlc"):
    query = embeddings[names == name]
    dense = np.argsort(-(query @ unit.T)[0])[:10]
    print(f"{name}\n   {'dense':<15} {', '.join(names[catalogue[dense[:5]]])}")
    for space in ("sparse", "reconstructed", "asymmetric"):
        found = top_items(model.recommend(query, k=5, space=space))[0][0]
        texts = [f"{names[catalogue[i]]}{'*' * (i in dense)}" for i in found]
        print(f"   {space:<15} {', '.join(texts)}")

# %%
# The picture
# -----------
# The share of the ten nearest neighbours that is found again, on average over the
# queries. One model serves all sizes: ``transform(E, n_nonzero=4)`` takes the first 4
# of its 32 entries. (With ``nested=True`` they would be trained for that.) The rival
# spends the same bytes on fewer dimensions, the best linear ones: a
# :class:`~sklearn.decomposition.TruncatedSVD` of the vectors, which is a PCA without
# centring.

short = [TruncatedSVD(n, random_state=0).fit(E) for n in (8, 16, 32, 64, 128)]
display = CompressionTradeoffDisplay.from_estimators(
    {"CompresSAE": model, "fewer dimensions": short},
    E,
    E_queries,
    k=10,
    n_nonzero=(4, 8, 16, 32),
)
_ = display.ax_.set_title("Debian packages: neighbours kept", loc="left")

# %%
# The numbers are kept in the display.

for name, (n_bytes, recalls) in display.curves.items():
    points = [f"{b:.0f} B {r:.2f}" for b, r in zip(n_bytes, recalls, strict=True)]
    print(f"{name:<26}", "   ".join(points))

# %%
# What a catalogue takes
# ----------------------
# Operations are multiplications of an exact search for one query; "sparse_both" also
# keeps a list of items for each latent, so that a query reads the lists of its own
# latents only.

print(memory_report(model, dense_dtype="float16"))

# %%
# With a language model
# ---------------------
# Vectors of sentences go the same way. With ``pip install sentence-transformers`` and a
# model that you have or let it download::
#
#     from sentence_transformers import SentenceTransformer
#
#     encoder = SentenceTransformer("all-MiniLM-L6-v2")
#     E = encoder.encode(texts)  # (n_texts, 384), float32
#     model = CompresSAE(4096, n_nonzero=32, random_state=0).fit(E)
#     best = model.recommend(encoder.encode(["a question"]), k=10)
#
# Take 4096 latents for tens of thousands of texts and more. For tables larger than
# memory, save the vectors with ``numpy.save`` and give
# ``numpy.load("vectors.npy", mmap_mode="r")`` to ``fit``.

# %%
# What to remember
# ----------------
# On these packages 16 entries, 64 bytes in place of 512, find about seven of the ten
# nearest neighbours again. With fewer dimensions the same bytes find four or five, and
# seven take four times the bytes. The sparse space does as well as the reconstructed
# one here, so the codes are all that has to be kept.
