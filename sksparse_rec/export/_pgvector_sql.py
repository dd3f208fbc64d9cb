"""The statements of ``PgvectorStore``."""

LACKS_TYPE = "SELECT to_regtype('sparsevec') IS NULL"
ENABLE = "CREATE EXTENSION IF NOT EXISTS vector"
CREATE = """CREATE TABLE {table} (
    id {type} PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    code sparsevec({width}) NOT NULL,
    payload jsonb NOT NULL
)"""
COMMENT = "COMMENT ON TABLE {table} IS {text}"
CREATE_INDEX = "CREATE INDEX ON {table} USING hnsw (code sparsevec_ip_ops)"
CREATE_STAGE = "CREATE TEMPORARY TABLE {stage} (LIKE {table}) ON COMMIT DROP"
COPY = "COPY pg_temp.{stage} FROM STDIN (FORMAT BINARY)"
UPSERT = """INSERT INTO {table} (id, position, code, payload)
SELECT id, position, code, payload FROM pg_temp.{stage}
ON CONFLICT (id) DO UPDATE SET
    position = EXCLUDED.position, code = EXCLUDED.code, payload = EXCLUDED.payload"""
# An index can serve the second order only, so that the first one is exact.
NEAREST = """SELECT id, position, -(code <#> %s::sparsevec) AS score, code
FROM {table} WHERE ({where}
) ORDER BY score DESC, position LIMIT %s"""
NEAREST_BY_INDEX = """SELECT id, position, -(code <#> %s::sparsevec) AS score, code
FROM {table} WHERE ({where}
) ORDER BY code <#> %s::sparsevec LIMIT %s"""
BETWEEN = """SELECT id, position, 0::float8, code FROM {table}
WHERE position >= %s AND position < %s AND ({where}
) ORDER BY position"""
COUNT = "SELECT count(*) FROM {table}"
POSITIONS = "SELECT id, position FROM {table} WHERE id = ANY(%s)"
END = "SELECT coalesce(max(position) + 1, 0) FROM {table}"
DELETE = "DELETE FROM {table} WHERE id = ANY(%s)"
HAS_INDEX = """SELECT EXISTS (
    SELECT FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    JOIN pg_am ON pg_am.oid = relam
    WHERE indrelid = to_regclass(%s::text) AND amname = 'hnsw'
)"""
