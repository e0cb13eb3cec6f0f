"""The steps of the demo, each with its figures. `demo.py` starts the stack and runs them."""

import csv
import hashlib
import json
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from demo_data import DATA, TARGET, Row, features, hold_out
from modelmill import (
    AlreadyRegistered,
    Client,
    Dataset,
    JobEvent,
    Model,
    ModelmillError,
    ModelVersion,
    NotFound,
    Prediction,
    Project,
)
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

GOOD_ENOUGH = 0.92
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "census-logistic-regression": ("scikit-learn", "logistic_regression", {}),
    "census-random-forest": ("scikit-learn", "random_forest", {"n_estimators": 100, "min_samples_leaf": 5}),
    "census-xgboost": ("xgboost", "gradient_boosting", {"n_estimators": 300, "learning_rate": 0.1, "max_depth": 6}),
    "census-lightgbm": ("lightgbm", "gradient_boosting", {"n_estimators": 300, "learning_rate": 0.05}),
}


@dataclass
class Figures:
    """What the demo measured; written to `demo.json`."""

    success: bool = False
    stack_start_seconds: float = 0.0
    upload_seconds: float | None = None
    upload_megabytes_per_second: float | None = None
    rows: int = 0
    training_seconds: float | None = None
    leaderboard: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    best_model: str = ""
    best_roc_auc: float = 0.0
    deploy_seconds: float = 0.0
    predictions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    batch: dict[str, Any] = field(default_factory=dict[str, Any])
    seconds_to_first_prediction: float = 0.0
    total_seconds: float = 0.0
    api_url: str = ""
    serving_url: str = ""
    error: str | None = None


class Demo:
    """One run. Each step says what it does and leaves its figures behind."""

    def __init__(self, home: Path, fresh: bool) -> None:
        self.home = home
        self.fresh = fresh
        self.console = Console(highlight=False)
        self.figures = Figures()
        self.begun = time.perf_counter()

    def run(self, stack: dict[str, Any]) -> None:
        figures = self.figures
        figures.api_url, figures.serving_url = stack["api_url"], stack["serving_url"]
        table, unseen = hold_out(DATA, self.home / "demo")
        username, password = self._account(figures.api_url)
        with Client(figures.api_url, username=username, password=password, serving_url=figures.serving_url) as mill:
            project = self._project(mill)
            dataset, is_new = self._upload(mill, project, table)
            self._train(mill, project, dataset, again=is_new or self.fresh)
            best = self._leaderboard(mill, project, dataset)
            self._deploy(mill, best)
            self._predict(mill, best, unseen)
            self._batch(mill, best)
        self._show_urls(username)
        if figures.best_roc_auc < GOOD_ENOUGH:
            raise ModelmillError(f"the best ROC AUC is {figures.best_roc_auc:.4f}; {GOOD_ENOUGH} was expected")

    def _account(self, url: str) -> tuple[str, str]:
        """Register at the first run; the password is random and kept in a private file."""
        self._step("Signing in")
        kept = self.home / "demo" / "account.json"
        if kept.is_file():
            account = json.loads(kept.read_text())
        else:
            account = {"username": f"demo-{secrets.token_hex(3)}", "password": secrets.token_urlsafe(18)}
            kept.touch(mode=0o600)
            kept.write_text(json.dumps(account))
        with Client(url) as anyone:
            try:
                anyone.auth.register(email=f"{account['username']}@modelmill.local", full_name="Demo", **account)
                self.say(f"registered as {account['username']}; the password is in {kept}")
            except AlreadyRegistered:
                self.say(f"signed in as {account['username']}, registered by an earlier run")
        return account["username"], account["password"]

    def _project(self, mill: Client) -> Project:
        try:
            return mill.projects.named("Census income")
        except NotFound:
            return mill.projects.create("Census income", description="Who earns more than 50K a year?", tags=["demo"])

    def _upload(self, mill: Client, project: Project, table: Path) -> tuple[Dataset, bool]:
        """Upload the table, unless the very same bytes are there; and whether it was uploaded."""
        self._step("Uploading the census table")
        sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
        for known in mill.datasets.list(project_id=project.id):
            if known.sha256 == sha256 and known.status != "invalid" and not self.fresh:
                self.say("the same table is there already, from an earlier run")
                self.figures.rows = known.rows or 0
                return known, False
        begun = time.perf_counter()
        with Progress(TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), console=self.console) as bars:
            task = bars.add_task(table.name)
            dataset = mill.datasets.upload(
                table,
                project_id=project.id,
                name="adult",
                description="UCI Adult (Becker and Kohavi, 1996), CC BY 4.0",
                progress=lambda sent, total: bars.update(task, completed=sent, total=total),
            )
        self.figures.upload_seconds = time.perf_counter() - begun
        self.figures.upload_megabytes_per_second = table.stat().st_size / 1e6 / self.figures.upload_seconds
        return dataset, True

    def _train(self, mill: Client, project: Project, dataset: Dataset, *, again: bool) -> None:
        """Ask for all trainings at once; they wait for the profile by themselves."""
        self._step("Training four models")
        known = {model.name: model for model in mill.models.list(project_id=project.id)}
        done = {name for name, model in known.items() if model.status in {"trained", "deployed"}}
        wanted = {name: how for name, how in MODELS.items() if again or name not in done}
        if not wanted:
            self.say("they are trained already, by an earlier run (`--fresh` trains next versions)")
            return
        begun = time.perf_counter()
        with self._bars() as bars:
            profile = Watch(bars, "profile")
            watches: list[Watch] = []
            threads = [threading.Thread(target=profile.follow_dataset, args=(mill, dataset))]
            for name, (framework, algorithm, parameters) in wanted.items():
                model = mill.models.train(
                    name,
                    project_id=project.id,
                    dataset_id=dataset.id,
                    framework=framework,
                    algorithm=algorithm,
                    target=TARGET,
                    parameters=parameters,
                )
                watches.append(Watch(bars, name))
                threads.append(threading.Thread(target=watches[-1].follow_model, args=(mill, model)))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        for watch in (profile, *watches):
            if watch.failure is not None:
                raise watch.failure
        self.figures.training_seconds = time.perf_counter() - begun
        self.figures.rows = mill.datasets.get(dataset.id).rows or 0

    def _leaderboard(self, mill: Client, project: Project, dataset: Dataset) -> ModelVersion:
        self._step("Leaderboard (hold-out rows)")
        ranked = mill.models.leaderboard(project_id=project.id, dataset_id=dataset.id, metric="roc_auc")
        self.console.print(leaderboard_table(ranked))
        self.figures.leaderboard = [
            {
                "model": f"{entry.name}@{entry.version}",
                "framework": entry.framework,
                "algorithm": entry.algorithm,
                "metrics": entry.metrics,
                "fit_seconds": entry.fit_seconds,
                "microseconds_per_prediction": entry.microseconds_per_row,
            }
            for entry in ranked
        ]
        best = ranked[0]
        self.figures.best_model = f"{best.name}@{best.version}"
        self.figures.best_roc_auc = best.metrics["roc_auc"]
        return best

    def _deploy(self, mill: Client, best: ModelVersion) -> None:
        self._step(f"Deploying {best.name}@{best.version}")
        begun = time.perf_counter()
        mill.models.deploy(best.model_id, version=best.version)
        deployment = mill.models.wait_deployed(best.model_id)
        self.figures.deploy_seconds = time.perf_counter() - begun
        self.say(f"{deployment.status} in {self.figures.deploy_seconds:.2f} s")

    def _predict(self, mill: Client, best: ModelVersion, unseen: Sequence[Row]) -> None:
        self._step(f"Predicting {len(unseen)} rows that were held out of the upload")
        answers: list[tuple[Row, Prediction]] = []
        for row in unseen:
            answers.append((row, mill.predictions.one(best.name, features(row))))
            self.figures.seconds_to_first_prediction = (
                self.figures.seconds_to_first_prediction or time.perf_counter() - self.begun
            )
        table = Table("age", "education", "occupation", "truth", "prediction", "confidence", "ms", box=None)
        for row, answer in answers:
            confidence, took = f"{answer.confidence_score or 0:.3f}", f"{answer.processing_time or 0:.2f}"
            person = (row["age"], row["education"], row["occupation"] or "–")
            table.add_row(*person, row[TARGET], str(answer.prediction), confidence, took)
        self.console.print(table)
        self.figures.predictions = [
            {
                "truth": row[TARGET],
                "prediction": answer.prediction,
                "confidence": answer.confidence_score,
                "milliseconds": answer.processing_time,
            }
            for row, answer in answers
        ]

    def _batch(self, mill: Client, best: ModelVersion) -> None:
        self._step("Scoring the whole file as a batch job")
        output = self.home / "demo" / "predictions.csv"
        begun = time.perf_counter()
        with self._bars() as bars:
            started = mill.batch.score_file(best.model_id, DATA, output_format="csv")
            done = mill.batch.wait(started, on_event=Watch(bars, DATA.name).on_event)
        mill.batch.download(done, output)
        seconds = time.perf_counter() - begun
        with output.open(newline="") as stream:
            rows = sum(1 for _ in csv.reader(stream)) - 1
        self.figures.batch = {"rows": rows, "seconds": seconds, "rows_per_second": rows / seconds, "file": str(output)}
        self.say(f"{rows:,} rows in {seconds:.1f} s → {output}")

    def _show_urls(self, username: str) -> None:
        self._step("Everything is up")
        api, serving = self.figures.api_url, self.figures.serving_url
        self.say(f"API          {api}        description {api}/docs")
        self.say(f"Predictions  {serving}        description {serving}/docs, figures {serving}/stats")
        command = "modelmill" if shutil.which("modelmill") else ".venv/bin/modelmill"
        self.say(f"Sign in      {command} login --url {api} --serving-url {serving} -u {username}")

    def _bars(self) -> Progress:
        columns = (TextColumn("  {task.description:<44}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        return Progress(*columns, console=self.console)

    def _step(self, title: str) -> None:
        self.console.print(f"\n[bold]{title}[/bold]")

    def say(self, line: str) -> None:
        self.console.print(f"  {line}", markup=False, soft_wrap=True)

    def save(self) -> None:
        self.figures.total_seconds = time.perf_counter() - self.begun
        (self.home / "demo.json").write_text(json.dumps(asdict(self.figures), indent=2) + "\n")


class Watch:
    """A progress bar that follows one job in a thread of its own."""

    def __init__(self, bars: Progress, name: str) -> None:
        self.failure: Exception | None = None
        self._bars = bars
        self._name = name
        self._task: TaskID = bars.add_task(name, total=None)

    def follow_dataset(self, mill: Client, dataset: Dataset) -> None:
        self._follow(lambda: mill.datasets.wait(dataset, on_event=self.on_event))

    def follow_model(self, mill: Client, model: Model) -> None:
        self._follow(lambda: mill.models.wait(model, on_event=self.on_event))

    def _follow(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:
            self.failure = error
        self._bars.update(self._task, description=self._name, total=1.0, completed=1.0 if self.failure is None else 0.0)

    def on_event(self, event: JobEvent) -> None:
        stage, progress = event.data.get("stage"), event.data.get("progress")
        if isinstance(stage, str):
            self._bars.update(self._task, description=f"{self._name}: {stage}")
        if isinstance(progress, (int, float)):
            self._bars.update(self._task, total=1.0, completed=float(progress))


def leaderboard_table(ranked: Sequence[ModelVersion]) -> Table:
    table = Table(box=None)
    table.add_column(
        "model", no_wrap=True, min_width=max((len(f"{entry.name}@{entry.version}") for entry in ranked), default=0)
    )
    for heading in ("ROC AUC", "log loss", "accuracy", "fit s", "µs/prediction"):
        table.add_column(heading)
    for entry in ranked:
        quality = [f"{entry.metrics[name]:.4f}" for name in ("roc_auc", "log_loss", "accuracy")]
        cost = f"{entry.microseconds_per_row:.1f}" if entry.microseconds_per_row is not None else "–"
        fit = f"{entry.fit_seconds:.2f}" if entry.fit_seconds is not None else "–"
        table.add_row(f"{entry.name}@{entry.version}", *quality, fit, cost)
    return table
