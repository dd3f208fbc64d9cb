"""Tables as folders of Parquet files, each written once."""

import json
import logging

from sksparse_rec._optional import import_optional
from sksparse_rec.export._parts import only_writer, open_parts, publish, write_part

logger = logging.getLogger("sksparse_rec")

SUFFIX = ".parquet"
# The key of the metadata by which a file tells what it is.
KEY = b"sksparse_rec"


class ParquetParts:
    """Writes the parts of a table that are missing.

    Parameters
    ----------
    fields : list of (str, DataType)
        The columns.
    tables : callable
        Gets a slice of rows and the schema, and yields the number of the last row done
        and a table, again and again.
    n_rows, rows_per_part : int
        Of what the table is made of.
    what : str
        How error messages call what is written, in the plural.
    repeating : list of str
        Columns with few values, which are kept as a dictionary.
    report : callable, default=None
        Called with the number of rows done and of all.
    metadata : dict of str, default=None
        What readers find in the schema.
    """

    def __init__(
        self,
        fields,
        tables,
        *,
        n_rows,
        rows_per_part,
        what,
        repeating,
        report=None,
        metadata=None,
    ):
        self.arrow = import_optional("pyarrow", "Parquet", "parquet")
        self.parquet = import_optional("pyarrow.parquet", "Parquet", "parquet")
        self.fields, self.tables, self.repeating = fields, tables, repeating
        self.n_rows, self.rows_per_part = n_rows, rows_per_part
        self.what, self.metadata = what, metadata or {}
        self.report = report or (lambda n_done, n_rows: None)
        # One without rows tells readers the columns.
        self.n_parts = max(1, -(-n_rows // rows_per_part))

    def run(self, path, describe):
        """Write what is missing of the folder, whose description ``describe`` makes."""
        with only_writer(path) as folder:
            parts = open_parts(folder, describe(), self.what)
            for number in range(self.n_parts):
                if self._is_part(parts, number):
                    self.report(self._rows(number).stop, self.n_rows)
                    continue
                file = parts.file(number, SUFFIX)
                write_part(file, lambda draft, n=number: self._write(draft, parts, n))
                logger.info("%s: part %d of %d", folder, number + 1, self.n_parts)
            publish(parts, folder)
        logger.info("%s: complete", folder)

    def _rows(self, number):
        start = number * self.rows_per_part
        return slice(start, min(start + self.rows_per_part, self.n_rows))

    def _schema(self, parts, number):
        mark = json.dumps({"export": parts.digest, "part": number})
        return self.arrow.schema(self.fields, {KEY: mark} | self.metadata)

    def _is_part(self, parts, number):
        """Tell whether a part is there and whole; what is cut off has no footer."""
        file = parts.file(number, SUFFIX)
        if not file.exists():
            return False
        try:
            found = self.parquet.read_schema(file).metadata or {}
        except (self.arrow.ArrowException, OSError):
            found = {}
        is_part = found.get(KEY) == self._schema(parts, number).metadata[KEY]
        if not is_part:
            logger.warning("%s is damaged, and written again", file)
        return is_part

    def _write(self, draft, parts, number):
        schema = self._schema(parts, number)
        with (
            open(draft, "wb") as file,
            self.parquet.ParquetWriter(
                file, schema, compression="zstd", use_dictionary=self.repeating
            ) as writer,
        ):
            for n_done, table in self.tables(self._rows(number), schema):
                writer.write_table(table)
                self.report(n_done, self.n_rows)
