"""The page of neighbours kept against bytes per vector."""

from _code_curves import (
    best_at,
    compresses_queries,
    for_display,
    label_of,
    make_curves,
    mean_at,
)
from _code_data import CORPORA
from _codes import LEVELS, MAIN
from _page_code_speed import speed_section
from _page_code_tables import corpus_section
from _pages import by_dataset, done, environment_section, made_by, table

# What is drawn, and of it in colour.
DRAWN = (
    "sae-reconstructed",
    "sae-sparse",
    "sae-asymmetric",
    "pca",
    "pca-int8",
    "matryoshka",
    "opq",
    "pq",
    "csr-sparse",
    "topksae-sparse",
    "topksae-reconstructed",
    "projection",
    "truncation",
)
HIGHLIGHTED = (*DRAWN[:4], "opq")
MATCHED = ("sae-sparse", "sae-reconstructed")


def render_codes(records, speed, figures):
    """Render the page.

    Parameters
    ----------
    records : list of dict
        Of `bench_codes.py`.
    speed : list of dict
        Of `bench_codes.py --speed`; may be empty.
    figures : dict
        Paths of the figures by corpus, as the page links to them; some may be missing.

    Returns
    -------
    str
        Markdown.
    """
    groups = by_dataset(records, CORPORA)
    curves = {name: make_curves(group) for name, group in groups.items()}
    sections = [_introduction(), _choice(curves), _relation(groups, curves)]
    for name, group in groups.items():
        sections.append(corpus_section(name, group, curves[name], figures.get(name)))
    if done(speed):
        sections.append(speed_section(speed))
    sections.append(environment_section(records + speed))
    return "\n\n".join(section for section in sections if section) + "\n"


def tradeoff_figure(name, curves):
    """Draw recall@100 against bytes.

    Parameters
    ----------
    name : str
        Of the corpus.
    curves : dict
        From `_code_curves.make_curves`.

    Returns
    -------
    matplotlib.figure.Figure or None
        None where no curve is recorded yet.
    """
    from sksparse_rec.plotting import CompressionTradeoffDisplay

    drawn = for_display(curves, DRAWN)
    if not drawn:
        return None
    whole = [(size, 1.0) for size in curves.get("dense", ())]
    display = CompressionTradeoffDisplay.from_scores(
        drawn,
        score_name="recall@100 of the nearest vectors",
        uncompressed=whole[0] if whole else None,
        highlight=[
            label_of(family) for family in HIGHLIGHTED if label_of(family) in drawn
        ]
        or None,
    )
    display.ax_.set_title(f"{name}: neighbours kept at equal bytes", loc="left")
    return display.figure_


def _introduction():
    return f"""\
# Neighbours kept at equal bytes

{made_by("bench_codes.py")}

1,000 vectors are queries and the others are compressed and searched, all of them for
every query. **recall@10** and **recall@100** are the shares of a query's 10 and 100
nearest vectors, by the cosine of the whole float32 vectors, among the 10 and 100 that
the small vectors give. A dense value takes 2 bytes and a non-zero of a sparse code 4,
an uint16 column and a float16 value, and both are rounded so.

- **truncation**: the first dimensions; **random projection**: Gaussian directions.
- **PCA, uncentred**: the directions of the largest second moments; **int8** has a byte
  for a dimension in place of two.
- **Matryoshka head**: a linear map whose leading dimensions are trained to be
  embeddings themselves, for all sizes at once.
- **faiss PQ, OPQ**: product quantisation, OPQ after a rotation.
- **sentence-transformers CSR**, **compresso TopKSAE**: sparse autoencoders of others,
  a training for each size.
- **CompresSAE**: a training for each size; **one model**: one of 128 non-zeros with
  `nested=True` at all sizes, by `transform(X, n_nonzero=...)`.

Sparse codes are compared in three ways: **sparse**, the codes themselves;
**reconstructed**, what the decoder makes of both; **asymmetric**, the query as it is
with the reconstructions. The last is what product quantisation does, so compare PQ and
OPQ with it; **symmetric** is PQ with the query reconstructed from its code as well.
Projections give the same lists whether or not the query is projected."""


def _choice(curves):
    """Say what keeps most, at every size, and where that is not CompresSAE."""
    rows = []
    for name, families in curves.items():
        for level in LEVELS:
            row = [name, f"{level:,}"]
            for allowed in (
                compresses_queries,
                lambda family: not compresses_queries(family) and family != "dense",
                lambda family: family == "sae-sparse",
                lambda family: family == "sae-reconstructed",
                lambda family: family == "sae-asymmetric",
            ):
                row.append(_named(best_at(families, level, allowed), len(row) < 4))
            rows.append(row)
    header = (
        "Vectors",
        "bytes",
        "best with small queries",
        "best with whole queries",
        "CompresSAE, sparse",
        "reconstructed",
        "asymmetric",
    )
    parts = [
        f"""\
## What to choose

The best recall@100 in each number of bytes, or in fewer, and that of CompresSAE beside
it.

{table(header, rows, n_texts=4)}""",
        _advice(curves),
    ]
    return "\n\n".join(part for part in parts if part)


def _named(best, with_name):
    if best is None:
        return ""
    family, score = best
    return f"{label_of(family)}: {score:.3f}" if with_name else f"{score:.3f}"


def _advice(curves):
    """State what the table shows, a line for each comparison that users make."""
    lines = []
    for own, rival in (
        ("sae-reconstructed", "pca"),
        ("sae-reconstructed", "matryoshka"),
        ("sae-reconstructed", "pca-int8"),
        ("sae-sparse", "pca"),
        ("sae-sparse", "csr-sparse"),
        ("sae-sparse", "topksae-sparse"),
        ("sae-reconstructed", "pq-symmetric"),
        ("sae-asymmetric", "pq"),
        ("sae-asymmetric", "opq"),
        ("one-reconstructed", "sae-reconstructed"),
    ):
        found = [
            f"{name} at {_sizes(better)}" if better else f"{name} at no size"
            for name, better in _where_better(curves, own, rival)
        ]
        if found:
            lines.append(
                f"- {label_of(own)} keeps more than {label_of(rival)}: "
                f"{'; '.join(found)}."
            )
    return "\n".join(lines)


def _where_better(curves, own, rival):
    for name, families in curves.items():
        pairs = {
            level: (mean_at(families, own, level), mean_at(families, rival, level))
            for level in LEVELS
        }
        pairs = {level: pair for level, pair in pairs.items() if None not in pair}
        if pairs:
            yield name, [level for level, (a, b) in pairs.items() if a > b]


def _sizes(levels):
    return f"{', '.join(f'{level:,}' for level in levels)} bytes"


def _relation(groups, curves):
    """Return the table of CompresSAE beside uncentred PCA at the usual size."""
    rows = []
    for name, families in curves.items():
        base = mean_at(families, "pca", MAIN)
        found = [mean_at(families, family, MAIN) for family in MATCHED]
        if base is None or None in found:
            continue
        sparse, rebuilt = found
        runs = [
            record for record in done(groups[name]) if record["system"] == f"sae-{MAIN}"
        ]
        rows.append(
            [
                name,
                f"{base:.3f}",
                f"{sparse:.3f}",
                f"{sparse / base:.2f}",
                f"{rebuilt:.3f}",
                f"{rebuilt - base:+.3f}",
                f"{max(100 * record['dead_fraction'] for record in runs):.1f} %",
                f"{max(record['fit_seconds'] for record in runs):.0f}",
                str(len(runs)),
            ]
        )
    if not rows:
        return ""
    header = (
        "Vectors",
        "PCA, uncentred",
        "sparse",
        "÷ PCA",
        "reconstructed",
        "− PCA",
        "most dead latents",
        "longest fit, s",
        "seeds",
    )
    return f"""\
## CompresSAE beside PCA at {MAIN} bytes

recall@100 of 32 non-zeros and of 64 dimensions.

{table(header, rows)}"""
