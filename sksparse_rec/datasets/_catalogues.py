"""Titles and tags of items, from the files next to the interactions."""

import csv
import io
from dataclasses import dataclass, field


@dataclass
class Catalogue:
    """Titles and tags by item id; tags are empty where the set has none."""

    titles: dict = field(default_factory=dict)
    tags: dict = field(default_factory=dict)


def read_catalogue(folder, names):
    """Return the Catalogue of the first of these files in a folder, or None."""
    for name in names:
        path = folder / name
        if path.is_file():
            return _READERS[name](path)
    return None


def split_genres(text):
    """Return the genres of ``Action|Comedy``, none for ``(no genres listed)``."""
    return [genre for genre in text.split("|") if genre and not genre.startswith("(")]


def _read_text(path):
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        # MovieLens 100K and 1M, and Netflix, are older than UTF-8's success.
        return raw.decode("latin-1")


def _read_records(path, split):
    """Fill a Catalogue with what split makes of each line: id, title, tags."""
    catalogue = Catalogue()
    # Not splitlines, which also splits at the Latin-1 characters 0x85 and 0x1c.
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        line = line.rstrip("\r")
        if not line:
            continue
        try:
            item, title, tags = split(line)
            item = int(item)
        except (ValueError, IndexError):
            raise ValueError(
                f"{path.name}, line {number} is malformed: {line!r}."
            ) from None
        catalogue.titles[item] = title
        catalogue.tags[item] = tags
    return catalogue


def _read_movies_dat(path):
    def split(line):
        item, rest = line.split("::", 1)
        title, genres = rest.rsplit("::", 1)
        return item, title, split_genres(genres)

    return _read_records(path, split)


def _read_movie_titles(path):
    def split(line):
        # Titles hold commas, unquoted.
        item, _, title = line.split(",", 2)
        return item, title, []

    return _read_records(path, split)


def _read_u_item(path):
    genre_file = path.with_name("u.genre")
    genres = _read_text(genre_file).split() if genre_file.is_file() else []
    genres = [genre.split("|")[0] for genre in genres]

    def split(line):
        fields = line.split("|")
        flags = zip(genres, fields[5:], strict=False)
        return fields[0], fields[1], [genre for genre, flag in flags if flag == "1"]

    return _read_records(path, split)


def _read_csv(path, item_columns):
    catalogue = Catalogue()
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""))
    columns = reader.fieldnames or []
    item = next((name for name in item_columns if name in columns), None)
    if item is None or "title" not in columns:
        raise ValueError(
            f"{path.name} needs the columns {item_columns[-1]} and title; it has "
            f"{list(columns)}."
        )
    for record in reader:
        try:
            key = int(record[item])
        except (TypeError, ValueError):
            raise ValueError(
                f"{path.name}, line {reader.line_num} is malformed: {item} is "
                f"{record[item]!r}, not an integer."
            ) from None
        catalogue.titles[key] = record["title"] or ""
        catalogue.tags[key] = split_genres(record.get("genres") or "")
    return catalogue


def _read_movies_csv(path):
    return _read_csv(path, ["movieId"])


def _read_books_csv(path):
    # In the first release "book_id" is Goodreads' own, and "id" what ratings use.
    return _read_csv(path, ["id", "book_id"])


_READERS = {
    "movies.csv": _read_movies_csv,
    "movies.dat": _read_movies_dat,
    "u.item": _read_u_item,
    "books.csv": _read_books_csv,
    "movie_titles.csv": _read_movie_titles,
    "movie_titles.txt": _read_movie_titles,
}
