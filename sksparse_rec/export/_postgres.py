"""A table of PostgreSQL, by a connection string or by a connection of the user."""

from contextlib import contextmanager

from sksparse_rec._optional import import_optional
from sksparse_rec.export._payload import check_unicode

# A table that holds a batch until the end of its transaction.
STAGE = "_sksparse_rec_batch"
# Longer names are cut off, so that two tables might be one.
MOST_BYTES_OF_A_NAME = 63
LOOK = """SELECT to_regclass(%(name)s::text) IS NOT NULL,
    obj_description(to_regclass(%(name)s::text), 'pg_class')"""


class Table:
    """A table, which may not be there yet, and the connection to it.

    Parameters
    ----------
    connection : str or psycopg.Connection
    name : str or (str, str)
        The table, or its schema and the table.
    check : callable
        Gets the comment of the table, or None, before anything is done with the table.
        Returns the kind of the ids, and raises if the table is not the right one.
    """

    def __init__(self, connection, name, check):
        self._check = check
        self.psycopg = import_optional("psycopg", "PgvectorStore", "pgvector")
        self.parts = _check_name(name)
        self._conninfo, self._opened = None, None
        if isinstance(connection, str):
            self._conninfo = connection
        elif isinstance(connection, self.psycopg.Connection):
            self._opened = connection
        else:
            raise TypeError(
                "connection must be a connection string or a psycopg.Connection, got "
                f"{type(connection).__name__}"
            )

    @property
    def connection(self):
        """A connection, opened again if it was lost and is not the user's."""
        opened = self._opened
        if self._conninfo is not None and (opened is None or opened.closed):
            self._opened = self.psycopg.connect(self._conninfo, autocommit=True)
        return self._opened

    @property
    def name(self):
        """The name as SQL has it."""
        identifier = self.psycopg.sql.Identifier(*self.parts)
        return identifier.as_string(self.connection)

    def close(self):
        """Close the connection, unless it is the user's."""
        if self._conninfo is not None and self._opened is not None:
            self._opened.close()

    def kind(self, cursor):
        """Return the kind of the ids, None where there is no table.

        Raises if it is not the right one.
        """
        cursor.execute(LOOK, {"name": self.name})
        is_there, comment = cursor.fetchone()
        return self._check(comment) if is_there else None

    def sql(self, template, **parts):
        """Return a statement in which ``{table}``, ``{stage}`` and parts are put."""
        sql = self.psycopg.sql
        names = {"table": sql.Identifier(*self.parts), "stage": sql.Identifier(STAGE)}
        return sql.SQL(template).format(**names | parts)

    def literal(self, value):
        """Return a value as a part of a statement."""
        return self.psycopg.sql.Literal(value)

    def condition(self, where):
        """Return a filter of the user as a part of a statement, and its parameters.

        Raises
        ------
        TypeError
            If it is no condition, nor a tuple of one and a list.
        """
        sql = self.psycopg.sql
        if where is None:
            return sql.SQL("TRUE"), []
        condition, parameters = where, ()
        if isinstance(where, tuple) and len(where) == 2:
            condition, parameters = where
        if isinstance(condition, str):
            condition = sql.SQL(condition)
        is_list = isinstance(parameters, list | tuple)
        if not (isinstance(condition, sql.Composable) and is_list):
            raise TypeError(
                "where must be a condition in SQL, or a tuple of one and a list of its "
                f"parameters, got {where!r}"
            )
        return condition, list(parameters)

    def read(self, statement, parameters=()):
        """Return the rows of a statement; none where there is no table."""
        with self.reading() as cursor:
            if self.kind(cursor) is None:
                return []
            return cursor.execute(statement, parameters, binary=True).fetchall()

    @contextmanager
    def reading(self):
        """Give a cursor in a transaction, or in a part of that of the user."""
        connection = self.connection
        rows = self.psycopg.rows.tuple_row
        with (
            connection.transaction(),
            self.psycopg.Cursor(connection, row_factory=rows) as cursor,
        ):
            if connection.info.encoding != "utf-8":
                cursor.execute("SET LOCAL client_encoding TO 'UTF8'")
            yield cursor

    @contextmanager
    def writing(self):
        """Give a cursor in a transaction of its own, committed at the end.

        Raises
        ------
        ValueError
            If the user is in a transaction.
        """
        status = self.connection.info.transaction_status
        if status != self.psycopg.pq.TransactionStatus.IDLE:
            raise ValueError(
                "connection is in a transaction, so that batches cannot be committed: "
                "commit it or roll it back first, or pass a connection string"
            )
        with self.reading() as cursor:
            yield cursor


def check_text(text, what, most=None):
    """Raise for a string that PostgreSQL does not take; other values pass.

    Parameters
    ----------
    text : object
        Valid Unicode, if it is a string.
    what : str
        How error messages call it.
    most : int, default=None
        Bytes that it may have.
    """
    if not isinstance(text, str):
        return
    if "\0" in text:
        raise ValueError(
            f"{what} is {text!r}, but strings in PostgreSQL have no null characters"
        )
    if most is not None and len(text.encode()) > most:
        raise ValueError(
            f"{what} has {len(text.encode())} bytes, but at most {most} are possible: "
            "shorten it"
        )


def _check_name(name):
    parts = (name,) if isinstance(name, str) else tuple(name)
    if not 1 <= len(parts) <= 2 or not all(isinstance(p, str) and p for p in parts):
        raise ValueError(f"table must be a name, or a schema and a name, got {name!r}")
    for part in parts:
        check_unicode(part, "table")
        check_text(part, "table", MOST_BYTES_OF_A_NAME)
        if "%" in part:
            raise ValueError(f"table is {part!r}, but psycopg takes no percent signs")
    if parts[-1] == STAGE:
        raise ValueError(f"table must not be {STAGE!r}, which holds a batch")
    return parts
