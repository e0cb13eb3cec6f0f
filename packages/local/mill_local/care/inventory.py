"""Which objects the rows name, with the size and sha256 that were acknowledged, where they were."""

from collections.abc import Iterator
from dataclasses import dataclass

from mill_local.care.database import Snapshot

_NAMED = {
    "dataset_versions": (
        "SELECT 'upload' AS kind, raw_key AS key, raw_sha256 AS sha256, raw_size AS size FROM dataset_versions",
        "SELECT 'table', data_key, report->>'parquet_sha256', (report->>'parquet_bytes')::bigint FROM dataset_versions",
        "SELECT 'preview', preview_key, NULL, NULL FROM dataset_versions",
    ),
    "model_versions": ("SELECT 'model', package_key, package_sha256, package_size FROM model_versions",),
    "batch_predictions": (
        "SELECT 'file to score', file_key, file_sha256, NULL FROM batch_predictions",
        "SELECT 'predictions', output_key, report->>'output_sha256', (report->>'output_bytes')::bigint "
        "FROM batch_predictions",
    ),
    "jobs": ("SELECT 'log', log_key, NULL, NULL FROM jobs",),
    "store_identity": ("SELECT 'identity', 'identity', NULL, NULL FROM store_identity",),
}
_NEWEST_SNAPSHOT = (
    "SELECT 'snapshot', 'published/' || lpad(number::text, 12, '0') || '.json', "
    "encode(sha256(convert_to(document, 'UTF8')), 'hex'), octet_length(document) "
    "FROM (SELECT * FROM publications WHERE written_at IS NOT NULL ORDER BY number DESC LIMIT 1) AS newest"
)


@dataclass(frozen=True)
class Named:
    """An object that a row names. `sha256` and `size` are None where only its existence was promised."""

    kind: str
    key: str
    sha256: str | None
    size: int | None


def named_objects(snapshot: Snapshot) -> Iterator[Named]:
    parts = [select for selects in _NAMED.values() for select in selects] + [_NEWEST_SNAPSHOT]
    together = " UNION ALL ".join(f"({part})" for part in parts)
    select = f"SELECT * FROM ({together}) AS every WHERE key IS NOT NULL ORDER BY key"  # noqa: S608 - constants of this file
    for row in snapshot.rows(select):
        yield Named(row["kind"], row["key"], row["sha256"], row["size"])


def doomed_keys(snapshot: Snapshot) -> set[str]:
    """Deleted, and not swept away yet."""
    return {row["key"] for row in snapshot.rows("SELECT key FROM doomed_objects")}
