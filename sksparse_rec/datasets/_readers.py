"""DataFrames, delimited text and Parquet to tables."""

import csv
import itertools

from sksparse_rec.datasets._base import import_optional
from sksparse_rec.datasets._tables import read_frame, resolve_columns

_PURPOSE = "Reading interactions"
# Text that an integer prints as again: not 007, 0x1F or +7.
_PLAIN_INTEGER = r"^\s*(0|-?[1-9][0-9]*)\s*$"
COMPRESSED = {".gz", ".bz2", ".zst", ".lz4"}


def read_dataframe(frame, wanted):
    """Read a DataFrame of any library that narwhals knows."""
    narwhals = import_optional("narwhals", _PURPOSE)
    try:
        frame = narwhals.from_native(frame, eager_only=True)
    except TypeError as error:
        raise TypeError(
            "source must be a path or an eager DataFrame (pandas, polars, pyarrow); "
            f"got {type(frame).__name__}."
        ) from error
    columns = resolve_columns(frame.columns, wanted, "The DataFrame")
    return read_frame(frame, columns, lambda row: f"row {row} of the DataFrame")


def read_delimited(path, wanted, *, delimiter, fields=None):
    """Read delimited text; the first line names the columns unless fields do.

    Under a header, ids stay text unless all of their column are plain integers.
    """
    narwhals = import_optional("narwhals", _PURPOSE)
    arrow_csv = import_optional("pyarrow.csv", _PURPOSE)
    arrow = import_optional("pyarrow", _PURPOSE)
    read_options = arrow_csv.ReadOptions(column_names=fields)
    # Only a title may hold a quoted line break, and files without header have none.
    parse_options = arrow_csv.ParseOptions(
        delimiter=delimiter,
        quote_char='"' if fields is None else False,
        newlines_in_values=fields is None,
    )
    options = {"read_options": read_options, "parse_options": parse_options}
    try:
        with arrow_csv.open_csv(str(path), **options) as reader:
            names = reader.schema.names
        columns = resolve_columns(names, wanted, path.name)
        convert = arrow_csv.ConvertOptions(include_columns=list(columns.values()))
        table = arrow_csv.read_csv(str(path), **options, convert_options=convert)
        if fields is None:
            ids = table.select([columns["user"], columns["item"]])
            text = _find_ids_that_are_text(path, ids, options)
            if text:
                convert.column_types = dict.fromkeys(text, arrow.string())
                table = arrow_csv.read_csv(
                    str(path), **options, convert_options=convert
                )
    except arrow.ArrowInvalid as error:
        raise ValueError(
            f"{_locate_ragged_line(path, delimiter, fields)} is malformed: {error}"
        ) from error

    def locate(row):
        return _locate_record(path, delimiter, row + (fields is None))

    return read_frame(narwhals.from_native(table, eager_only=True), columns, locate)


def _find_ids_that_are_text(path, ids, options):
    """Return the columns read as numbers or dates that would not keep ids apart."""
    arrow = import_optional("pyarrow", _PURPOSE)
    arrow_csv = import_optional("pyarrow.csv", _PURPOSE)
    compute = import_optional("pyarrow.compute", _PURPOSE)
    # A missing id is an error, which is left to the checks of the table.
    complete = [field for field in ids.schema if ids[field.name].null_count == 0]
    numbers = [field for field in complete if arrow.types.is_primitive(field.type)]
    integers = [field.name for field in numbers if arrow.types.is_integer(field.type)]
    text = {field.name for field in numbers} - set(integers)
    if not integers:
        return text
    convert = arrow_csv.ConvertOptions(
        include_columns=integers, column_types=dict.fromkeys(integers, arrow.string())
    )
    with arrow_csv.open_csv(str(path), **options, convert_options=convert) as reader:
        for batch in reader:
            for name, column in zip(integers, batch.columns, strict=True):
                plain = compute.match_substring_regex(column, _PLAIN_INTEGER)
                if name not in text and not compute.all(plain).as_py():
                    text.add(name)
    return text


def read_parquet(path, wanted):
    """Read a Parquet file, or a folder of them."""
    narwhals = import_optional("narwhals", _PURPOSE)
    arrow = import_optional("pyarrow", _PURPOSE)
    dataset = import_optional("pyarrow.dataset", _PURPOSE)
    try:
        source = dataset.dataset(str(path), format="parquet")
        columns = resolve_columns(source.schema.names, wanted, path.name)
        table = source.to_table(columns=list(columns.values()))
    except arrow.ArrowInvalid as error:
        raise ValueError(f"{path.name} is not a sound Parquet file: {error}") from error
    frame = narwhals.from_native(table, eager_only=True)
    return read_frame(frame, columns, lambda row: f"row {row} of {path.name}")


def _records(path, delimiter):
    """Yield the line number and the fields of each record that is not empty."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        last_line = 0
        for record in reader:
            if record:
                yield last_line + 1, record
            last_line = reader.line_num


def _locate_record(path, delimiter, index):
    """Say where a record is; slow, and only used once something is wrong."""
    if path.suffix in COMPRESSED:
        return f"{path.name}, record {index + 1}"
    lines = (line for line, _ in _records(path, delimiter))
    return f"{path.name}, line {next(itertools.islice(lines, index, None), '?')}"


def _locate_ragged_line(path, delimiter, fields):
    """Say where the first record with another number of fields than it should is."""
    if path.suffix in COMPRESSED:
        return path.name
    n_fields = None if fields is None else len(fields)
    for line, record in _records(path, delimiter):
        n_fields = len(record) if n_fields is None else n_fields
        if len(record) != n_fields:
            return f"{path.name}, line {line}"
    return path.name
