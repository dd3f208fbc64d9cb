"""Rows as PostgreSQL reads and sends them: binary COPY, and sparsevec."""

import struct

import numpy as np
import scipy.sparse as sp

# What a binary COPY begins and ends with: signature, no flags, no extension.
COPY_START = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
HEADER = 12


def copy_rows(ids, positions, codes, payload):
    """Yield rows of a table (id, position, code, payload) for a binary COPY.

    Parameters
    ----------
    ids : sequence of int or str
    positions : sequence of int
    codes : CSR array of float32 of shape (n_rows, width)
        Canonical.
    payload : sequence of str
        JSON texts.
    """
    vectors = encode(codes)
    for row in zip(ids, positions, vectors, payload, strict=True):
        id_, position, vector, text = row
        # The version of the format of jsonb goes first.
        fields = (_encode_id(id_), _int64(position), vector, b"\1" + text.encode())
        yield struct.pack(">h", len(fields)) + b"".join(
            struct.pack(">i", len(field)) + field for field in fields
        )


def encode(codes):
    """Yield rows as sparsevec in its binary form.

    That is the number of dimensions, of non-zeros, and 0, then indices from 0 on and
    values, each 4 bytes, the most significant first.
    """
    indices = codes.indices.astype(">i4")
    values = codes.data.astype(">f4")
    for start, stop in zip(codes.indptr[:-1], codes.indptr[1:], strict=True):
        header = struct.pack(">iii", codes.shape[1], stop - start, 0)
        yield header + indices[start:stop].tobytes() + values[start:stop].tobytes()


def decode(vectors, width):
    """Return rows in the binary form of sparsevec as a CSR array of float32."""
    n_entries = [(len(vector) - HEADER) // 8 for vector in vectors]
    indptr = np.concatenate([[0], np.cumsum(n_entries, dtype=np.int64)])
    ends = [HEADER + 4 * count for count in n_entries]
    pairs = list(zip(vectors, ends, strict=True))
    indices = b"".join(vector[HEADER:end] for vector, end in pairs)
    values = b"".join(vector[end:] for vector, end in pairs)
    parts = (
        np.frombuffer(values, ">f4").astype(np.float32),
        np.frombuffer(indices, ">i4").astype(np.int32),
        indptr,
    )
    return sp.csr_array(parts, shape=(len(vectors), width))


def as_text(codes, row):
    """Return a row as text, where indices begin at 1.

    Values that are too small for float32 to hold them in full are left out, as
    PostgreSQL reads none.
    """
    start, stop = codes.indptr[row : row + 2]
    indices, values = codes.indices[start:stop], codes.data[start:stop]
    is_kept = np.abs(values) >= np.finfo(np.float32).tiny
    indices, values = (indices[is_kept] + 1).tolist(), values[is_kept].tolist()
    pairs = zip(indices, values, strict=True)
    entries = ",".join(f"{index}:{value!r}" for index, value in pairs)
    return f"{{{entries}}}/{codes.shape[1]}"


def _encode_id(value):
    return value.encode() if isinstance(value, str) else _int64(value)


def _int64(value):
    return struct.pack(">q", value)
