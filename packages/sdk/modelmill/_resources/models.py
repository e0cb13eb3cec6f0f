"""Models: trainings, versions, deployments, and whole files scored by them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelmill._errors import NotFound
from modelmill._pages import walk
from modelmill._resources.datasets import save_stream
from modelmill._resources.jobs import Jobs, OnEvent
from modelmill._transport import Transport, path
from modelmill._types import Job, Model, ModelVersion


class Models:
    def __init__(self, transport: Transport, jobs: Jobs) -> None:
        self._transport = transport
        self._jobs = jobs

    def train(
        self,
        name: str,
        *,
        project_id: str,
        dataset_id: str,
        model_type: str = "classification",
        framework: str = "scikit-learn",
        algorithm: str | None = None,
        target: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Model:
        """Start a training; a known name makes its next version. `options` are further fields of the API (validation, seed, …).

        It need not wait for the dataset's profile: the training starts when that is done. `target` left out: the server chooses
        and says which and why.
        """
        body = {"name": name, "project_id": project_id, "dataset_id": dataset_id, "model_type": model_type, **options}
        body |= {"framework": framework, "algorithm": algorithm, "target": target, "parameters": dict(parameters or {})}
        return Model.of(self._transport.post(path("models"), body))

    def wait(self, model: Model | str, *, timeout: float | None = None, on_event: OnEvent | None = None) -> Model:
        """Wait for the latest version's training. Raises `JobFailed` with the reason."""
        known = self.get(model) if isinstance(model, str) else model
        if known.job_id is not None:
            self._jobs.wait(known.job_id, timeout=timeout, on_event=on_event)
        return self.get(known.id)

    def list(self, *, project_id: str | None = None, **filters: Any) -> Iterator[Model]:
        return walk(self._transport, path("models"), Model, project_id=project_id, **filters)

    def get(self, model_id: str) -> Model:
        return Model.of(self._transport.get(path("models", model_id)))

    def named(self, name: str) -> Model:
        """The model of exactly this name. Raises `NotFound`."""
        for model in self.list(search=name):
            if model.name == name:
                return self.get(model.id)
        raise NotFound(404, {"title": "Not found", "detail": f"there is no model named {name!r}"})

    def leaderboard(
        self, *, project_id: str, dataset_id: str | None = None, metric: str | None = None
    ) -> Sequence[ModelVersion]:
        """The trained versions of a project, best first by `metric` (ROC AUC, else accuracy, else RMSE when left out)."""
        query = {"project_id": project_id, "dataset_id": dataset_id, "metric": metric}
        answer: list[object] = self._transport.get(path("models", "leaderboard"), **query)
        return [ModelVersion.of(entry) for entry in answer]

    def versions(self, model_id: str) -> Iterator[ModelVersion]:
        """All versions, newest first."""
        return walk(self._transport, path("models", model_id, "versions"), ModelVersion)

    def deploy(self, model_id: str, **options: Any) -> dict[str, Any]:
        """Put a version to work; asked for while it trains, it happens when it is trained."""
        return self._transport.post(path("models", model_id, "deploy"), options)

    def undeploy(self, model_id: str) -> dict[str, Any]:
        return self._transport.post(path("models", model_id, "undeploy"), {})

    def rollback(self, model_id: str) -> dict[str, Any]:
        """Back to the version deployed before."""
        return self._transport.post(path("models", model_id, "rollback"), {})

    def delete(self, model_id: str) -> None:
        self._transport.delete(path("models", model_id))


class Batch:
    """Whole datasets scored as jobs."""

    def __init__(self, transport: Transport, jobs: Jobs) -> None:
        self._transport = transport
        self._jobs = jobs

    def start(self, model_id: str, *, dataset_id: str, output_format: str = "parquet", **options: Any) -> Job:
        """Score every row of a dataset; `output_format` is parquet or csv."""
        body = {"dataset_id": dataset_id, "output_format": output_format, **options}
        answer = self._transport.post(path("models", model_id, "batch-predictions"), body)
        return self._jobs.get(str(answer.get("job_id") or answer["id"]))

    def wait(self, job: Job | str, *, timeout: float | None = None, on_event: OnEvent | None = None) -> Job:
        return self._jobs.wait(job if isinstance(job, str) else job.id, timeout=timeout, on_event=on_event)

    def download(self, job: Job | str, to: str | Path) -> Path:
        """Stream the rows with their predictions to `to`."""
        job_id = job if isinstance(job, str) else job.id
        return save_stream(self._transport, path("batch-predictions", job_id, "download"), Path(to))
