"""Score a table with a model package, batch by batch. `mill_trainer.cli` calls it; memory does not grow with the table.

A dataset's canonical Parquet is read as it is; a raw file first goes through the readers of profiling, which keep as
text what the model knows as text.
"""

import time
from collections import Counter
from pathlib import Path

from mill_contracts.tables import ColumnKind, TableWarning
from mill_contracts.tasks import ProfileTask, ScoreTask
from mill_contracts.training import ScoreReport
from mill_pack import Package, Predictions, open_package

from mill_trainer.parquet_files import batches_of, schema_of, sha256_of
from mill_trainer.profile import canonicalise
from mill_trainer.reporting import Report, SilentReport
from mill_trainer.score.columns import check_columns, model_columns
from mill_trainer.score.output import PredictionFile

ROWS_PER_BATCH = 50_000
REPORT_FILE = "report.json"
READING_SHARE = 0.2


def score(task: ScoreTask, report: Report) -> ScoreReport:
    """Write `predictions.parquet` or `predictions.csv`, and `report.json`, into the task's folder."""
    started = time.perf_counter()
    report.stage("loading")
    package = open_package(task.package_file)
    report.stage("reading")
    data, warnings = _canonical(task, package, report)
    warnings += check_columns(package.signature, schema_of(data))
    report.stage("predicting")
    target = task.out_dir / f"predictions.{task.output_format}"
    with PredictionFile(target, task.output_format, probabilities=task.return_probabilities) as output:
        seen = _predict(package, data, output, report)
    scored = ScoreReport(
        rows=output.rows,
        rows_with_missing=seen.rows_with_missing,
        output_file=target.name,
        output_format=task.output_format,
        output_bytes=target.stat().st_size,
        output_sha256=sha256_of(target),
        columns=output.columns,
        seconds=time.perf_counter() - started,
        warnings=(*warnings, *seen.warnings()),
    )
    (task.out_dir / REPORT_FILE).write_text(scored.model_dump_json(), encoding="utf-8")
    report.log(f"{scored.rows:,} rows scored in {scored.seconds:.1f} s")
    report.progress(1.0, scored.rows, scored.rows, "rows")
    return scored


class _Seen:
    """What the batches had to say, added up."""

    def __init__(self) -> None:
        self.rows = 0
        self.rows_with_missing = 0
        self._unseen: Counter[str] = Counter()

    def add(self, rows: int, predictions: Predictions) -> None:
        self.rows += rows
        self.rows_with_missing += predictions.rows_with_missing
        self._unseen.update(predictions.unseen)

    def warnings(self) -> list[TableWarning]:
        return [
            TableWarning(
                code="unseen-categories",
                column=column,
                detail=f"{count:,} of {self.rows:,} rows hold a value in {column!r} that the model does not know.",
            )
            for column, count in self._unseen.items()
        ]


def _predict(package: Package, data: Path, output: PredictionFile, report: Report) -> _Seen:
    seen = _Seen()
    total, batches = batches_of(data, ROWS_PER_BATCH)
    for batch in batches:
        predictions = package.predict_columns(model_columns(package.signature, batch, output.rows))
        output.write(batch, predictions)
        seen.add(batch.num_rows, predictions)
        done = output.rows / total
        report.progress(READING_SHARE + (1 - READING_SHARE) * done, output.rows, total, "rows")
    return seen


def _canonical(task: ScoreTask, package: Package, report: Report) -> tuple[Path, list[TableWarning]]:
    if task.source_is_canonical:
        return task.data_file, []
    raw = ProfileTask(
        raw_file=task.data_file,
        out_dir=task.out_dir,
        scratch_dir=task.scratch_dir,
        file_name=task.file_name,
        limits=task.limits,
    )
    texts = frozenset(each.name for each in package.signature.features if each.kind is ColumnKind.STRING)
    target = task.scratch_dir / "canonical.parquet"
    source, canonical = canonicalise(raw, target, SilentReport(), keep_text=texts)
    report.progress(READING_SHARE)
    return target, [*source.warnings, *canonical.warnings]
