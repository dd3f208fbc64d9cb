"""Queries of search engines that have loaded bulk files, and what they answer."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._validation import (
    Integral,
    Interval,
    StrOptions,
    check_length,
    validate_params,
)
from sksparse_rec.export._bulk_formats import FORMATS
from sksparse_rec.export._signs import canonical, to_stored
from sksparse_rec.retrieval import check_k


@validate_params(
    {
        "q": "no_validation",
        "format": [StrOptions(set(FORMATS))],
        "n_candidates": [Interval(Integral, 1, None, closed="left")],
        "where": "no_validation",
        "max_terms": [Interval(Integral, 1, None, closed="left"), None],
        "name": [str],
    },
    prefer_skip_nested_validation=True,
)
def bulk_query(
    q,
    *,
    format="elasticsearch",  # noqa: A002
    n_candidates=100,
    where=None,
    max_terms=None,
    name="items",
):
    """Make the body of a search request for a query.

    Parameters
    ----------
    q : {array-like, sparse matrix} of shape (n_components,) or (1, n_components)
        What items are multiplied with: a profile, a code, or another vector, of either
        sign.
    format : {"elasticsearch", "opensearch", "vespa"}, default="elasticsearch"
        As in `write_bulk`.
    n_candidates : int, default=100
        Items to find, of which `bulk_rank` takes the best: ten times as many as are
        needed is a good start, and more find more. Servers limit it: Elasticsearch and
        OpenSearch to 10,000 (``index.max_result_window``), Vespa to 400 (``maxHits``).
    where : dict, list or str, default=None
        Which items may be found, passed on as it is: a clause of ``filter``, or a list
        of them, such as ``{"term": {"in_stock": True}}``; for Vespa a condition of YQL,
        such as ``"in_stock = true"``. Values in a condition go where YQL has an ``@``,
        as further entries of the body.
    max_terms : int, default=None
        Ask for the latents of largest weight only. Servers limit the clauses of a query
        (``indices.query.bool.max_clause_count``, at least 1,024), which profiles of
        users with long histories may exceed. None asks for all.
    name : str, default="items"
        As in `write_bulk`.

    Returns
    -------
    dict
        JSON, for ``/<index>/_search`` or for ``/search/`` of Vespa. It asks for the
        fields that `bulk_rank` needs; add those that you need.

    Raises
    ------
    ValueError
        If `q` has no non-zeros, as nothing can be found by it, NaN or infinity, or more
        than one row.

    See Also
    --------
    write_bulk : Writes the items.
    bulk_rank : Ranks what is found exactly.

    Notes
    -----
    Weights are scaled, so that the largest is in the range of the server: its scores
    are in no unit. Both halves of every latent are asked for, so that the body is right
    for any ``signs`` of `write_bulk`.

    Elasticsearch is told not to prune frequent latents, which it would do by default.
    Vespa ranks the candidates of each node with `code` in float32 itself.

    Examples
    --------
    >>> from sksparse_rec.export import bulk_query
    >>> body = bulk_query([0.0, 0.5, -1.0], where={"range": {"year": {"gte": 2000}}})
    >>> body["query"]["bool"]["must"][0]["sparse_vector"]["query_vector"]
    {'1': 0.5, '5': 1.0}
    >>> body["query"]["bool"]["filter"]
    {'range': {'year': {'gte': 2000}}}
    """
    form = FORMATS[format](name)
    if where is not None and not isinstance(where, form.where_types):
        raise ValueError(
            f"where is {where!r}, but a filter of {format} is "
            f"{' or '.join(kind.__name__ for kind in form.where_types)}"
        )
    row = _one_row(q)
    if row.nnz == 0:
        raise ValueError("q has no non-zeros, and nothing is found by it: do not ask")
    kept = to_stored(row, "split")
    if max_terms is not None and kept.nnz > max_terms:
        largest = np.sort(np.argsort(-kept.data, kind="stable")[:max_terms])
        kept = sp.csr_array(
            (kept.data[largest], kept.indices[largest], [0, max_terms]), kept.shape
        )
    return form.query(_by_name(kept), _by_name(row), int(n_candidates), where)


@validate_params(
    {
        "response": [dict],
        "q": "no_validation",
        "k": "no_validation",
        "format": [StrOptions(set(FORMATS))],
    },
    prefer_skip_nested_validation=True,
)
def bulk_rank(response, q, k=10, *, format="elasticsearch"):  # noqa: A002
    """Rank what a search engine found, exactly.

    Parameters
    ----------
    response : dict
        What the server answered to the body of `bulk_query`.
    q : {array-like, sparse matrix} of shape (n_components,) or (1, n_components)
        The same query.
    k : int, default=10
        Length of the list.
    format : {"elasticsearch", "opensearch", "vespa"}, default="elasticsearch"
        As in `write_bulk`.

    Returns
    -------
    ids : ndarray of shape (n_found,)
        Best first, at most `k`: int64, or strings (object).
    scores : ndarray of shape (n_found,), float64
        Products of `q` and the codes, as `SparseIndex` computes them.

    Raises
    ------
    ValueError
        If the response has no hits in it, but an error; if a code is wider than `q`.

    See Also
    --------
    bulk_query : Makes the request.

    Notes
    -----
    Scores are exact; the list is the true one if the candidates hold it. To see how
    many that takes, compare with `SparseIndex` for some queries. Equal scores go to the
    item with the lower position.

    Examples
    --------
    >>> from sksparse_rec.export import bulk_rank
    >>> source = {"id": "a", "position": 0, "code": {"1": 0.6, "2": -0.8}}
    >>> response = {"hits": {"hits": [{"_source": source, "_score": 1.09}]}}
    >>> ids, scores = bulk_rank(response, [0.0, 0.5, -1.0])
    >>> ids.tolist(), scores.round(6).tolist()
    (['a'], [1.1])
    """
    k = check_k(k)
    row = _one_row(q)
    try:
        hits = list(FORMATS[format]("items").hits(response))
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"response has no hits with id, position and code ({error!r} is missing): "
            f"{str(response)[:200]}"
        ) from None
    codes = _codes_of(hits, row.shape[1])
    scores = codes @ row.toarray()[0]
    positions = np.array([position for _, position, _ in hits], dtype=np.int64)
    order = np.lexsort((positions, -scores))[:k]
    ids = [value for value, _, _ in hits]
    ids = np.array(ids, dtype=np.int64 if _are_integers(ids) else object)
    return ids[order], scores[order]


def _one_row(q):
    """Return a query as a CSR array with one row, float64, columns ascending."""
    if not sp.issparse(q) or q.ndim == 1:
        q = np.atleast_2d(q.toarray() if sp.issparse(q) else np.asarray(q))
    q = check_length(q, q.shape[-1], "q", "n_components")
    if q.shape[0] != 1:
        raise ValueError(f"q has {q.shape[0]} rows: ask one query at a time")
    return canonical(q)


def _by_name(row):
    names = row.indices.astype(str).tolist()
    return dict(zip(names, row.data.tolist(), strict=True))


def _codes_of(hits, width):
    """Return the codes of hits, float64 of exact float32."""
    columns = [np.array(sorted(map(int, code))) for _, _, code in hits]
    data = [
        [code[str(column)] for column in row]
        for row, (_, _, code) in zip(columns, hits, strict=True)
    ]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in data])]).astype(int)
    columns = np.concatenate([*columns, []]).astype(int)
    if columns.max(initial=-1) >= width:
        raise ValueError(
            f"response has a code with latent {columns.max()}, but q has {width} "
            "columns"
        )
    data = np.concatenate([*data, []]).astype(np.float32).astype(np.float64)
    return sp.csr_array((data, columns, indptr), shape=(len(hits), width))


def _are_integers(ids):
    return all(isinstance(value, int) for value in ids)
