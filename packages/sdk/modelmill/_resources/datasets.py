"""Datasets: uploaded tables, each name with its versions."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from modelmill._errors import NotFound
from modelmill._pages import walk
from modelmill._resources.jobs import Jobs, OnEvent
from modelmill._transport import Transport, path
from modelmill._types import Dataset
from modelmill._upload import Counted, Progress, Source, quiet


class Datasets:
    def __init__(self, transport: Transport, jobs: Jobs) -> None:
        self._transport = transport
        self._jobs = jobs

    def upload(
        self,
        file: str | Path | IO[bytes],
        *,
        project_id: str,
        name: str | None = None,
        description: str = "",
        tags: Sequence[str] = (),
        sensitive: bool = False,
        file_name: str | None = None,
        progress: Progress | None = None,
    ) -> Dataset:
        """Stream a CSV, JSON array, NDJSON (each also gzipped) or Parquet file; a known name makes its next version.

        Returns when the bytes are stored; `wait` returns when the table has been read.
        """
        source = Source.of(file, file_name)
        fields: dict[str, Any] = {"project_id": project_id, "description": description, "tags": ",".join(tags)}
        fields |= {"name": name or Path(source.name).name.split(".")[0], "sensitive": json.dumps(sensitive)}
        with source.opened as stream:
            body = Counted(stream, progress or quiet, source.total)
            files = {"file": (source.name, body, "application/octet-stream")}
            answer = self._transport.upload(path("datasets"), fields, files, again=source.total is not None)
        return Dataset.of(answer)

    def wait(self, dataset: Dataset | str, *, timeout: float | None = None, on_event: OnEvent | None = None) -> Dataset:
        """Wait for the profile. Raises `JobFailed` when the table cannot be read."""
        known = self.get(dataset) if isinstance(dataset, str) else dataset
        if known.job_id is not None:
            self._jobs.wait(known.job_id, timeout=timeout, on_event=on_event)
        return self.get(known.id)

    def list(self, *, project_id: str | None = None, **filters: Any) -> Iterator[Dataset]:
        return walk(self._transport, path("datasets"), Dataset, project_id=project_id, **filters)

    def get(self, dataset_id: str) -> Dataset:
        return Dataset.of(self._transport.get(path("datasets", dataset_id)))

    def named(self, name: str, *, project_id: str | None = None) -> Dataset:
        """The newest dataset of exactly this name. Raises `NotFound`."""
        for dataset in self.list(project_id=project_id, search=name):
            if dataset.name == name:
                return self.get(dataset.id)
        raise NotFound(404, {"title": "Not found", "detail": f"there is no dataset named {name!r}"})

    def statistics(self, dataset_id: str, *, version: int | None = None) -> dict[str, Any]:
        return self._transport.get(path("datasets", dataset_id, "statistics"), version=version)

    def preview(self, dataset_id: str, *, version: int | None = None, limit: int = 50) -> dict[str, Any]:
        """`columns` and `rows` of the first rows."""
        return self._transport.get(path("datasets", dataset_id, "preview"), version=version, limit=limit)

    def download(self, dataset_id: str, to: str | Path, *, version: int | None = None, format: str = "raw") -> Path:  # noqa: A002 - the API's own word
        """Stream the file to `to`; `format` is raw (the uploaded bytes) or parquet (the canonical table)."""
        query = {"format": format} | ({"version": version} if version else {})
        return save_stream(self._transport, path("datasets", dataset_id, "download"), Path(to), params=query)

    def delete(self, dataset_id: str) -> None:
        self._transport.delete(path("datasets", dataset_id))


def save_stream(transport: Transport, url: str, to: Path, **options: Any) -> Path:
    """Write beside the goal and rename: `to` is whole or not there."""
    part = to.with_name(f".{to.name}.part")
    with ExitStack() as cleaning:
        cleaning.callback(part.unlink, missing_ok=True)
        with transport.stream(url, **options) as answer, part.open("wb") as out:
            for chunk in answer.iter_bytes():
                out.write(chunk)
        part.replace(to)
    return to
