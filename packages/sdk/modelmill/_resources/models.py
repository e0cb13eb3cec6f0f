"""Models: trainings, versions, deployments."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from modelmill._errors import DeploymentFailed, NotFound
from modelmill._pages import walk
from modelmill._resources.jobs import Jobs, OnEvent
from modelmill._transport import Transport, path
from modelmill._types import Deployment, Extra, Missing, Model, ModelVersion, Unseen
from modelmill._upload import Counted, Progress, Source, quiet

FIRST_POLL, LONGEST_POLL = 0.2, 1.0


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
        return Model.of(self._transport.create(path("models"), body))

    def upload_file(
        self,
        file: str | Path | IO[bytes],
        *,
        framework: str,
        name: str | None = None,
        project_id: str | None = None,
        model_type: str = "classification",
        model_id: str | None = None,
        signature: Mapping[str, Any] | None = None,
        sample_rows: Sequence[Mapping[str, Any]] = (),
        description: str = "",
        tags: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> Model:
        """Upload a model trained elsewhere: XGBoost JSON or UBJ, LightGBM text, ONNX in one file, or skops; never a pickle.

        With `model_id` it becomes that model's next version; else `project_id` says where, and `name` (the file's own when left
        out) what it is called. `signature` names features and classes; `wait` returns when the file is validated, or raises
        `JobFailed` with the reason.
        """
        source = Source.of(file, None)
        fields: dict[str, Any] = {"framework": framework}
        if signature is not None:
            fields["signature"] = json.dumps(signature)
        if sample_rows:
            fields["sample_rows"] = json.dumps([dict(row) for row in sample_rows])
        where = path("models", model_id, "upload") if model_id else path("models", "upload")
        if model_id is None:
            called = name or Path(source.name).name.split(".")[0]
            fields |= {"name": called, "project_id": project_id, "model_type": model_type}
            fields |= {"description": description, "tags": ",".join(tags)}
        with source.opened as stream:
            body = Counted(stream, progress or quiet, source.total)
            files = {"file": (source.name, body, "application/octet-stream")}
            return Model.of(self._transport.upload(where, fields, files, again=source.total is not None))

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

    def deploy(
        self,
        model_id: str,
        *,
        version: int | None = None,
        public: bool | None = None,
        missing: Missing | None = None,
        extra: Extra | None = None,
        unseen: Unseen | None = None,
    ) -> Deployment:
        """Put a version (the latest when left out) to work; asked for while it trains, it happens when it is trained.

        `missing`, `extra` and `unseen` say what becomes of values that do not fit; what is left out stays as it was.
        """
        policy = {"missing": missing, "extra": extra, "unseen": unseen}
        wish = {"version": version, "public": public, "policy": policy if any(policy.values()) else None}
        return Deployment.of(self._transport.post(path("models", model_id, "deploy"), wish))

    def deployment(self, model_id: str) -> Deployment:
        """How far the model's deployment has come."""
        return Deployment.of(self._transport.get(path("models", model_id, "deployment")))

    def wait_deployed(self, model_id: str, *, timeout: float = 60.0) -> Deployment:
        """Wait until every replica serves it. Raises `DeploymentFailed`, also when `timeout` seconds were not enough."""
        deadline, pause = time.monotonic() + timeout, FIRST_POLL
        while True:
            found = self.deployment(model_id)
            if found.status == "deployed":
                return found
            if found.status == "failed" or time.monotonic() > deadline:
                raise DeploymentFailed(found)
            time.sleep(pause)
            pause = min(pause * 1.3, LONGEST_POLL)

    def undeploy(self, model_id: str) -> None:
        self._transport.post(path("models", model_id, "undeploy"))

    def rollback(self, model_id: str) -> Deployment:
        """Back to the version deployed before."""
        return Deployment.of(self._transport.post(path("models", model_id, "rollback")))

    def delete(self, model_id: str) -> None:
        self._transport.delete(path("models", model_id))
