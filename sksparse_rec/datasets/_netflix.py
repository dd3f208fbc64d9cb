"""The text files of the Netflix Prize to a table."""

import numpy as np

from sksparse_rec.datasets._base import import_optional
from sksparse_rec.datasets._tables import Table

_PURPOSE = "Reading the Netflix Prize"


def read_netflix(paths):
    """Read the text files of the Netflix Prize: ``movie:``, then user,rating,date."""
    arrow = import_optional("pyarrow", _PURPOSE)
    parts = []
    for path in paths:
        try:
            parts.extend(_read_file(path))
        except arrow.ArrowInvalid as error:
            # Of the file as a whole: empty, or not text.
            raise ValueError(f"{path.name} is malformed: {error}") from error
    movie, user, rating, day = (
        np.concatenate([part[column] for part in parts]) for column in range(4)
    )
    return Table(
        user=user,
        item=movie,
        rating=rating.astype(np.float32),
        timestamp=day.astype(np.int64) * 86_400,
        title=None,
        locate=lambda row: f"rating {row}",
    )


def _read_file(path):
    """Yield arrays (movie, user, rating, day) for each block of a file."""
    arrow_csv = import_optional("pyarrow.csv", _PURPOSE)
    arrow = import_optional("pyarrow", _PURPOSE)
    reader = arrow_csv.open_csv(
        str(path),
        # A delimiter that does not occur makes every line a field.
        parse_options=arrow_csv.ParseOptions(
            delimiter="\x1f", quote_char=False, ignore_empty_lines=False
        ),
        read_options=arrow_csv.ReadOptions(column_names=["line"], block_size=2**24),
        convert_options=arrow_csv.ConvertOptions(column_types={"line": arrow.string()}),
    )
    movie, n_lines = -1, 0
    with reader:
        for batch in reader:
            lines = batch.column(0)
            try:
                part = _parse_lines(lines, movie)
            except arrow.ArrowInvalid:
                _raise_located(path, lines, n_lines, movie)
            if part[0].size and part[0][0] < 0:
                _raise_located(path, lines, n_lines, movie)
            movie = part[-1]
            n_lines += len(lines)
            yield part[:-1]


def _parse_lines(lines, movie):
    """Return (movie, user, rating, day) and the movie that the next block goes on.

    pyarrow raises ArrowInvalid on every line that is neither of the two kinds.
    """
    arrow = import_optional("pyarrow", _PURPOSE)
    compute = import_optional("pyarrow.compute", _PURPOSE)
    lines = lines.filter(compute.not_equal(lines, ""))
    is_movie = compute.ends_with(lines, ":")
    movies = compute.utf8_slice_codeunits(lines.filter(is_movie), 0, -1)
    movies = movies.cast(arrow.int32())
    fields = compute.split_pattern(lines.filter(compute.invert(is_movie)), ",")
    n_fields = compute.list_value_length(fields).to_numpy()
    if (n_fields != 3).any():
        raise arrow.ArrowInvalid("not three fields")
    flat = fields.flatten()
    user, rating, day = (
        flat.take(arrow.array(np.arange(column, len(flat), 3))) for column in range(3)
    )
    movies = np.concatenate([[movie], movies.to_numpy()]).astype(np.int32)
    is_movie = is_movie.to_numpy(zero_copy_only=False)
    return (
        movies[np.cumsum(is_movie)[~is_movie]],
        user.cast(arrow.int32()).to_numpy(),
        rating.cast(arrow.int8()).to_numpy(),
        day.cast(arrow.date32()).cast(arrow.int32()).to_numpy(),
        int(movies[-1]),
    )


def _raise_located(path, lines, n_lines, movie):
    """Find the line that the fast parser stumbled over by parsing one at a time."""
    arrow = import_optional("pyarrow", _PURPOSE)
    for row, line in enumerate(lines.to_pylist()):
        try:
            *part, movie = _parse_lines(arrow.array([line]), movie)
            fault = part[0].size > 0 and part[0][0] < 0
        except arrow.ArrowInvalid:
            fault = True
        if fault:
            raise ValueError(
                f"{path.name}, line {n_lines + row + 1}: {line!r} is neither "
                "'movie:' nor 'user,rating,YYYY-MM-DD' after one."
            ) from None
