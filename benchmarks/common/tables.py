# pyright: reportUnknownMemberType=false
# DuckDB's stubs are incomplete; nothing of it leaves this file.
"""The files that are measured: a generated table of any size, and the census table."""

import shutil
from pathlib import Path

import duckdb

CENSUS = Path(__file__).resolve().parents[2] / "examples" / "data" / "adult.csv"
_SAMPLE_ROWS = 20_000
_COLUMNS = """
    i AS id,
    DATE '2020-01-01' + (hash(i, 1) % 2000)::INTEGER AS day,
    round((hash(i, 2) % 10000000) / 997.0, 2) AS amount,
    (hash(i, 3) % 100)::INTEGER AS quantity,
    CASE WHEN hash(i, 4) % 20 = 0 THEN NULL ELSE (hash(i, 4) % 1000000) / 1e6 END AS score,
    'city ' || (hash(i, 5) % 50) AS city,
    printf('%x', hash(i, 6)) AS code,
    hash(i, 7) % 2 = 0 AS flag,
    CASE WHEN hash(i, 8) % 10 = 0 THEN 'said, "again"' ELSE 'plain words ' || (hash(i, 8) % 5000) END AS remark,
    ['low', 'middle', 'high'][(hash(i, 9) % 3 + 1)::INTEGER] AS label
"""


def generated(folder: Path, megabytes: int) -> Path:
    """About `megabytes` of numbers, dates, text, quotes and gaps, the same in every run; made once per folder."""
    path = folder / f"generated-{megabytes}.csv"
    if path.exists():
        return path
    if shutil.disk_usage(folder).free < 8 * megabytes * 10**6:
        raise SystemExit(f"{folder} needs {8 * megabytes} MB of room; TMPDIR names another place")
    sample = folder / "sample.csv"
    _write(sample, _SAMPLE_ROWS)
    _write(path, megabytes * 10**6 * _SAMPLE_ROWS // sample.stat().st_size)
    sample.unlink()
    return path


def census(folder: Path, rows: int) -> Path:
    """The first rows of the census table."""
    path = folder / f"census-{rows}.csv"
    with CENSUS.open() as source, path.open("w") as target:
        for _ in range(rows + 1):
            target.write(source.readline())
    return path


def census_times(folder: Path, times: int) -> Path:
    """The census table, its rows repeated."""
    path = folder / f"census-x{times}.csv"
    header, _, body = CENSUS.read_text().partition("\n")
    with path.open("w") as target:
        target.write(f"{header}\n")
        for _ in range(times):
            target.write(body)
    return path


def _write(path: Path, rows: int) -> None:
    part = path.with_suffix(".part")
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"COPY (SELECT {_COLUMNS} FROM range({rows}) AS t(i)) TO '{part}' (HEADER)")  # noqa: S608
    part.rename(path)
