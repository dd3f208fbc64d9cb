"""Which format is it, and which files belong to it."""

import re

from sksparse_rec.datasets._catalogues import read_catalogue
from sksparse_rec.datasets._netflix import read_netflix
from sksparse_rec.datasets._readers import COMPRESSED, read_delimited, read_parquet
from sksparse_rec.datasets._tables import ROLES

# The files of a format, by glob, and those that may hold its titles.
_FILES = {
    "movielens-csv": ["ratings.csv"],
    "movielens-dat": ["ratings.dat"],
    "movielens-100k": ["u.data"],
    "goodbooks": ["ratings.csv"],
    "netflix": ["combined_data_*.txt", "mv_*.txt", "training_set/mv_*.txt"],
}
_CATALOGUES = {
    "movielens-csv": ["movies.csv"],
    "movielens-dat": ["movies.dat"],
    "movielens-100k": ["u.item"],
    "goodbooks": ["books.csv"],
    "netflix": ["movie_titles.csv", "movie_titles.txt"],
}
FORMATS = {"auto", "csv", "tsv", "parquet", *_FILES}

# Fields of the formats without a header; "_1" and so on lie between the two colons.
_FIELDS = {
    "movielens-dat": (":", ["user", "_1", "item", "_2", "rating", "_3", "timestamp"]),
    "movielens-100k": ("\t", ["user", "item", "rating", "timestamp"]),
}


def read_source(path, chosen, wanted):
    """Return the Table and the Catalogue (or None) that a path holds."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist.")
    chosen = _detect(path) if chosen == "auto" else chosen
    if chosen == "parquet":
        return read_parquet(path, wanted), None
    files = _list_files(path, chosen)
    if chosen in _FIELDS or chosen == "netflix":
        given = [role for role in ROLES if wanted[role] is not None]
        if given:
            raise ValueError(
                f"The format '{chosen}' has no named columns; leave out {given}, or "
                "pass another format."
            )
    if chosen == "netflix":
        table = read_netflix(files)
    elif chosen in _FIELDS:
        table = _read_headless(files[0], chosen)
    else:
        delimiter = "\t" if chosen == "tsv" else ","
        table = read_delimited(files[0], wanted, delimiter=delimiter)
    return table, _find_catalogue(files[0], chosen)


def _read_headless(path, chosen):
    delimiter, fields = _FIELDS[chosen]
    wanted = {role: role if role in fields else None for role in ROLES}
    table = read_delimited(path, wanted, delimiter=delimiter, fields=fields)
    for ids in (table.user, table.item):
        # These sets number users and items; anything else is a damaged line.
        if ids.size and ids.dtype.kind not in "iu":
            row = next((k for k, key in enumerate(ids) if not str(key).isdigit()), 0)
            raise ValueError(
                f"{table.locate(row)}: the id {ids[row]!r} is not an integer."
            )
    return table


def _find_catalogue(path, chosen):
    names = _CATALOGUES.get(chosen, [])
    found = read_catalogue(path.parent, names)
    if found is None and path.parent.name == "training_set":
        found = read_catalogue(path.parent.parent, names)
    return found


def _list_files(path, chosen):
    if path.is_file():
        return [path]
    patterns = _FILES.get(chosen)
    if patterns is None:
        raise IsADirectoryError(f"{path} is a folder; '{chosen}' is a single file.")
    files = [file for pattern in patterns for file in sorted(path.glob(pattern))]
    if not files:
        raise FileNotFoundError(f"{path} holds no {' or '.join(patterns)}.")
    return files


def _detect(path):
    if path.is_dir():
        return _detect_folder(path)
    stem = path.with_suffix("") if path.suffix in COMPRESSED else path
    if stem.suffix in (".parquet", ".pq"):
        return "parquet"
    if path.name == "u.data":
        return "movielens-100k"
    if path.suffix in COMPRESSED:
        return "tsv" if stem.suffix == ".tsv" else "csv"
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return _detect_line(file.readline(2**16).rstrip("\n"))


def _detect_folder(path):
    for chosen, patterns in _FILES.items():
        for pattern in patterns:
            for file in path.glob(pattern):
                return _detect(file) if pattern == "ratings.csv" else chosen
    if any(path.glob("*.parquet")):
        return "parquet"
    known = sorted({pattern for patterns in _FILES.values() for pattern in patterns})
    raise FileNotFoundError(
        f"{path} holds none of {known} and no Parquet file; pass the file itself."
    )


def _detect_line(line):
    """Return the format of a text file by its first line."""
    if "::" in line:
        return "movielens-dat"
    if re.fullmatch(r"\d+:", line):
        return "netflix"
    columns = [name.strip('"') for name in line.split(",")]
    if {"userId", "movieId", "rating"} <= set(columns):
        return "movielens-csv"
    if {"user_id", "book_id", "rating"} <= set(columns):
        return "goodbooks"
    return "tsv" if "\t" in line else "csv"
