"""Codes as files that search engines load."""

import json
import logging
import os

import numpy as np

from sksparse_rec._validation import Integral, Interval, StrOptions, validate_params
from sksparse_rec.export._batches import Batches
from sksparse_rec.export._bulk_formats import FIELDS, FORMATS, Item
from sksparse_rec.export._kinds import Kinds
from sksparse_rec.export._parts import only_writer, open_parts, publish, write_part
from sksparse_rec.export._signs import SIGNS

logger = logging.getLogger("sksparse_rec")

VERSION = 1
# Which rows each part has. Readers of folders skip what begins with an underscore.
LEDGER = "_parts.json"
# Items that are turned into text at once.
ITEMS_AT_ONCE = 500
REFUSAL = "these search engines find items by positive values only"


@validate_params(
    {
        "codes": "no_validation",
        "path": [str, os.PathLike],
        "ids": "no_validation",
        "payload": "no_validation",
        "format": [StrOptions(set(FORMATS))],
        "signs": [StrOptions(set(SIGNS))],
        "name": [str],
        "items_per_part": [Interval(Integral, 1, None, closed="left")],
        "bytes_per_part": [Interval(Integral, 1, None, closed="left")],
        "on_part": [callable, None],
    },
    prefer_skip_nested_validation=True,
)
def write_bulk(
    codes,
    path,
    ids=None,
    payload=None,
    *,
    format="elasticsearch",  # noqa: A002
    signs="split",
    name="items",
    items_per_part=5000,
    bytes_per_part=10_000_000,
    on_part=None,
):
    """Write codes as files that Elasticsearch, OpenSearch or Vespa load.

    Use it where such a search engine is there already. Each file is the body of a bulk
    request, or input of ``vespa feed``; beside them is what the index is made with. A
    call that was killed goes on where it was when it is repeated.

    Parameters
    ----------
    codes : {array-like, sparse matrix}, SparseIndex or fitted estimator
        Codes of shape (n_items, n_components), of which a few at a time are converted:
        a matrix, the rows of an index, or `item_embeddings_` of a model.
    path : str or path-like
        The folder to make; missing parents are made. It appears under this name when
        all is there. Until then the parts are beside it, in ``_<name>.unfinished``.
    ids : array-like of shape (n_items,), default=None
        Distinct strings, or 64-bit integers of at least 0. None takes the ids of the
        index or the names that the model was fitted with; the positions where there
        are none.
    payload : DataFrame, dict of columns or structured array, default=None
        A row for each item, which filters can ask for: strings, booleans, 64-bit
        integers, finite numbers, or lists of those, one kind a column. Missing values
        are left out. Columns cannot be called ``id``, ``position``, ``latents`` or
        ``code``.
    format : {"elasticsearch", "opensearch", "vespa"}, default="elasticsearch"
        Who loads the files.
    signs : {"split", "nonnegative", "native"}, default="split"
        With "split" items are found by latent ``j`` where it is positive, and by ``j +
        n_components`` where it is negative. The others refuse negative values, which
        none of the formats finds items by.
    name : str, default="items"
        What Vespa calls the schema, the documents and their namespace.
    items_per_part : int, default=5000
        Items in a file at most.
    bytes_per_part : int, default=10000000
        Bytes of a file at most, unless a single item has more. Servers refuse requests
        beyond a limit (``http.max_content_length``, 100 MB, and less with some hosts),
        and are fastest with 5 to 15 MB.
    on_part : callable, default=None
        Called with the number of items done and of all items after every part, and for
        every part found from an earlier call. What it raises ends the call.

    Raises
    ------
    ValueError
        For codes, ids or a payload that the format does not take, before anything is
        written. If the folder, complete or not, holds other codes or was written with
        other parameters: the message says which differ.
    FileExistsError
        If there is something else at `path`.
    BlockingIOError
        If another process is writing this folder.

    See Also
    --------
    bulk_query : The body of a search request.
    bulk_rank : Turns the response into an exact ranking.

    Notes
    -----
    An item has the fields ``id``, ``position`` (its row), ``latents`` (what it is found
    by), ``code`` (its values, exactly) and its payload. Files are ``part-00000.ndjson``
    and so on (``.jsonl`` for Vespa).

    *Elasticsearch* (8.15 or newer): make the index with ``index.json``, which has
    `latents` as a ``sparse_vector`` and `code` as an object that is not searched, then
    send every part to ``/<index>/_bulk``. *OpenSearch* (2.14 or newer): the same, with
    ``rank_features``. *Vespa*: ``items.sd`` is the schema, with `latents` as a
    ``weightedset<int>`` for ``wand`` and `code` as a ``tensor<float>(latent{})``.

    Limits, which the files keep to: latents are found by positive values; names of
    latents have no dots, being numbers; ids have at most 512 bytes with the first two,
    where they become strings (the field ``id`` keeps integers). Values below 1.2e-38
    are in `code` only. Strings of the payload beyond 8191 characters are kept, but
    filters do not find them.

    Limits of precision: ``sparse_vector`` and ``rank_features`` keep 9 significant bits
    of a value, cut off, so that scores are up to 0.4 percent too small; weights of
    Vespa are integers, here of 20 bits behind the point, for values below 2,048. With
    "split" scores are also upper bounds, as products of a positive and a negative half
    are left out. So take scores as those of candidates only, and rank with `code`, as
    `bulk_rank` does: decimals are those of float32, and give back each value exactly.

    Items without non-zeros are written, and no query finds them.

    All is read and checked once before anything is written. Items of 32 non-zeros take
    about 1.2 kilobytes each, and 8,000 to 10,000 are written per second. Memory is that
    of a part and of the ids.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sksparse_rec.export import write_bulk
    >>> codes = [[0.8, 0.0, -0.6], [0.0, 1.0, 0.0]]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "bulk"
    ...     write_bulk(codes, path, ids=["a", "b"], payload={"year": [1999, 2003]})
    ...     print((path / "part-00000.ndjson").read_text())
    {"index":{"_id":"a"}}
    {"id":"a","position":0,"latents":{"0":0.8,"5":0.6},"code":{"0":0.8,"2":-0.6},"year":1999}
    {"index":{"_id":"b"}}
    {"id":"b","position":1,"latents":{"1":1.0},"code":{"1":1.0},"year":2003}
    <BLANKLINE>
    """
    batches = Batches(
        codes,
        ids,
        payload,
        n_components=None,
        signs=signs,
        batch_size=ITEMS_AT_ONCE,
        refusal=REFUSAL,
    )
    form = FORMATS[format](name)
    for column in batches.payload.columns:
        form.check_field(column)
        if column in FIELDS:
            raise ValueError(
                f"payload has a column {column!r}, which items have already: rename it"
            )
    kinds = Kinds()

    def check(batch):
        form.check_values(batch.rows.data.max(initial=0))
        kinds.add(batch.payload, batch.start)

    for item_id in batches.ids.tolist():
        form.check_id(item_id)
    description = batches.check(check) | {
        "version": VERSION,
        "format": format,
        "signs": signs,
        "name": name,
        "items_per_part": int(items_per_part),
        "bytes_per_part": int(bytes_per_part),
    }
    id_kind = "str" if batches.ids.dtype.kind == "U" else "int"
    definitions = form.definitions(id_kind, kinds.items())
    bulk = _Bulk(batches, form, int(items_per_part), int(bytes_per_part), on_part)
    with only_writer(path) as folder:
        parts = open_parts(folder, description, "codes")
        for file_name, text in definitions.items():
            file = parts.folder / file_name
            if not file.exists() or file.read_bytes() != text.encode():
                _write_text(file, [text])
        bulk.write(parts)
        publish(parts, folder)
    logger.info("%s: complete", folder)


class _Bulk:
    """Writes the parts that are missing, of which bytes decide where they end."""

    def __init__(self, batches, form, items_per_part, bytes_per_part, report):
        self.batches, self.form, self.report = batches, form, report
        self.items_per_part, self.bytes_per_part = items_per_part, bytes_per_part

    def write(self, parts):
        """Write the parts in order; the ledger says where each that is there ends."""
        ledger = _read_ledger(parts)
        start = number = 0
        while start < self.batches.n_items:
            file = parts.file(number, self.form.suffix)
            known = ledger[number] if number < len(ledger) else None
            if known is not None and _has_size(file, known["bytes"]):
                start = known["stop"]
            else:
                lines = self._lines(start)
                _write_text(file, lines)
                start += len(lines)
                entry = {"stop": start, "bytes": file.stat().st_size}
                # Or the first one behind those that are known.
                ledger[number : number + 1] = [entry]
                _write_text(parts.folder / LEDGER, [json.dumps(ledger)])
                logger.info("%s: part %d", parts.folder, number + 1)
            number += 1
            if self.report is not None:
                self.report(start, self.batches.n_items)

    def _lines(self, start):
        """Return the text of the items of a part, the first of which is given."""
        lines, n_bytes = [], 0
        while start + len(lines) < self.batches.n_items:
            for item in _items(self.batches.at(start + len(lines)), self.batches):
                line = self.form.line(item) + "\n"
                n_bytes += len(line.encode())
                is_full = len(lines) == self.items_per_part
                if lines and (is_full or n_bytes > self.bytes_per_part):
                    return lines
                lines.append(line)
        return lines


def _items(batch, batches):
    """Yield the items of a ``Batch``."""
    rows, width = batch.rows, batches.n_components
    is_negative = rows.indices >= width
    # Shortest decimals of float32, which JSON would write with 17 digits.
    values = rows.data.astype(str).astype(float)
    signed = np.where(is_negative | (rows.data < 0), -np.abs(values), values).tolist()
    latents = rows.indices.astype(str).tolist()
    columns = (rows.indices - width * is_negative).astype(str).tolist()
    values = values.tolist()
    for row, (value, record) in enumerate(
        zip(batch.ids.tolist(), batch.payload, strict=True)
    ):
        entries = slice(rows.indptr[row], rows.indptr[row + 1])
        yield Item(
            value,
            batch.start + row,
            dict(zip(latents[entries], values[entries], strict=True)),
            dict(zip(columns[entries], signed[entries], strict=True)),
            record,
        )


def _write_text(path, lines):
    def write(draft):
        with open(draft, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)

    write_part(path, write)


def _read_ledger(parts):
    """Return what is known of the parts that are there; of a damaged file nothing."""
    try:
        ledger = json.loads((parts.folder / LEDGER).read_text(encoding="utf-8"))
        return [{"stop": int(p["stop"]), "bytes": int(p["bytes"])} for p in ledger]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _has_size(file, n_bytes):
    return file.exists() and file.stat().st_size == n_bytes
