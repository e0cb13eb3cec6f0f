"""Whole tables scored as jobs."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from modelmill._pages import walk
from modelmill._resources.datasets import save_stream
from modelmill._resources.jobs import Jobs, OnEvent
from modelmill._transport import Transport, path
from modelmill._types import BatchPrediction
from modelmill._upload import Counted, Progress, Source, quiet


class Batch:
    def __init__(self, transport: Transport, jobs: Jobs) -> None:
        self._transport = transport
        self._jobs = jobs

    def score_dataset(
        self, model_id: str, dataset_id: str, *, output_format: str = "parquet", **options: Any
    ) -> BatchPrediction:
        """Score every row of a dataset; `output_format` is parquet or csv. `options`: version, dataset_version, return_probabilities."""
        body = {"dataset_id": dataset_id, "output_format": output_format, **options}
        return BatchPrediction.of(self._transport.create(path("models", model_id, "batch-predictions"), body))

    def score_file(
        self,
        model_id: str,
        file: str | Path | IO[bytes],
        *,
        output_format: str = "parquet",
        file_name: str | None = None,
        progress: Progress | None = None,
    ) -> BatchPrediction:
        """Stream a file of rows and score it, without making a dataset of it."""
        source = Source.of(file, file_name)
        url = path("models", model_id, "batch-predictions", "upload")
        with source.opened as stream:
            body = Counted(stream, progress or quiet, source.total)
            files = {"file": (source.name, body, "application/octet-stream")}
            answer = self._transport.upload(
                url, {"output_format": output_format}, files, again=source.total is not None
            )
        return BatchPrediction.of(answer)

    def get(self, batch_id: str) -> BatchPrediction:
        return BatchPrediction.of(self._transport.get(path("batch-predictions", batch_id)))

    def list(self, **filters: Any) -> Iterator[BatchPrediction]:
        return walk(self._transport, path("batch-predictions"), BatchPrediction, **filters)

    def delete(self, batch_id: str) -> None:
        """With its file and its result, once its job has ended."""
        self._transport.delete(path("batch-predictions", batch_id))

    def wait(
        self, batch: BatchPrediction, *, timeout: float | None = None, on_event: OnEvent | None = None
    ) -> BatchPrediction:
        """Wait until every row is scored. Raises `JobFailed` with the reason."""
        self._jobs.wait(batch.job_id, timeout=timeout, on_event=on_event)
        return self.get(batch.id)

    def download(self, batch: BatchPrediction | str, to: str | Path) -> Path:
        """Stream the rows with their predictions to `to`."""
        batch_id = batch if isinstance(batch, str) else batch.id
        return save_stream(self._transport, path("batch-predictions", batch_id, "download"), Path(to))
