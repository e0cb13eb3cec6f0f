"""Profile a raw file: what it is, its canonical Parquet, what stands in it, what looks odd. `mill_trainer.cli` calls it.

Scoring uses the first half, `canonicalise`, for raw files.
"""

from pathlib import Path

from mill_contracts.tables import DatasetReport
from mill_contracts.tasks import ProfileTask

from mill_trainer.duck import Duck, open_duck
from mill_trainer.parquet_files import sha256_of
from mill_trainer.profile.canonical import Canonical
from mill_trainer.profile.csv_table import read_csv
from mill_trainer.profile.findings import findings
from mill_trainer.profile.json_table import read_json
from mill_trainer.profile.parquet_table import read_parquet
from mill_trainer.profile.preview import preview_of
from mill_trainer.profile.source import Source, open_source
from mill_trainer.profile.statistics import gather, statistics_of
from mill_trainer.reporting import Report

DATA_FILE, REPORT_FILE, PREVIEW_FILE = "data.parquet", "report.json", "preview.json"


def profile(task: ProfileTask, report: Report) -> DatasetReport:
    """Write `data.parquet`, `report.json` and `preview.json` into the task's folder, or nothing at all."""
    data = task.out_dir / DATA_FILE
    try:
        return _profile(task, data, report)
    except BaseException:
        data.unlink(missing_ok=True)
        raise


def _profile(task: ProfileTask, data: Path, report: Report) -> DatasetReport:
    report.stage("reading")
    source = open_source(task)
    with open_duck(task.limits, task.scratch_dir, [task.raw_file], [task.out_dir, task.scratch_dir]) as duck:
        canonical = read_source(task, source, duck, data, report)
        report.progress(0.6, canonical.rows, canonical.rows, "rows")
        report.stage("describing")
        table = gather(duck, canonical, data, task.limits.memory_bytes)
        report.progress(0.9)
        warnings = (*source.warnings, *canonical.warnings, *findings(duck, table))
    described = DatasetReport(
        rows=canonical.rows,
        format=source.format,
        encoding=source.encoding,
        delimiter=canonical.delimiter,
        compression=source.compression,
        parquet_bytes=data.stat().st_size,
        parquet_sha256=sha256_of(data),
        columns=tuple(statistics_of(facts) for facts in table.columns),
        warnings=warnings,
    )
    preview = preview_of(data, canonical, task.preview_rows)
    (task.out_dir / REPORT_FILE).write_text(described.model_dump_json(), encoding="utf-8")
    (task.out_dir / PREVIEW_FILE).write_text(preview.model_dump_json(), encoding="utf-8")
    report.log(f"{canonical.rows:,} rows, {len(canonical.columns):,} columns, {len(warnings)} warnings")
    report.progress(1.0)
    return described


def canonicalise(
    task: ProfileTask, target: Path, report: Report, *, keep_text: frozenset[str]
) -> tuple[Source, Canonical]:
    """Only the canonical Parquet of a raw file; columns in `keep_text` stay text though they look like numbers."""
    source = open_source(task)
    with open_duck(task.limits, task.scratch_dir, [task.raw_file], [target.parent, task.scratch_dir]) as duck:
        return source, read_source(task, source, duck, target, report, keep_text)


def read_source(
    task: ProfileTask,
    source: Source,
    duck: Duck,
    target: Path,
    report: Report,
    keep_text: frozenset[str] = frozenset(),
) -> Canonical:
    """Each format by its own reader; all of them end in the same Parquet."""
    match source.format:
        case "csv":
            return read_csv(task, source, duck, target, report, keep_text)
        case "parquet":
            return read_parquet(task, source, target, report)
        case "json" | "ndjson":
            return read_json(task, source, target, report, keep_text)
