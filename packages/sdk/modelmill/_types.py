"""What the client gives back: frozen views of the server's documents. `raw` holds each document whole, fields of newer servers too."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, Self, TypeVar

from modelmill._root import UnexpectedAnswer

Document = Mapping[str, Any]
Missing = Literal["refuse", "impute"]
Extra = Literal["refuse", "ignore"]
Unseen = Literal["accept", "refuse"]
FINAL_STATES = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class View:
    """A subclass names the fields it promises; times are ISO 8601 text as sent."""

    raw: Document = field(repr=False, compare=False)

    @classmethod
    def of(cls, document: object) -> Self:
        if not isinstance(document, Mapping):
            raise UnexpectedAnswer(f"expected a {cls.__name__}, got {type(document).__name__}")
        known: dict[str, Any] = {}
        for part in fields(cls):
            if part.name == "raw":
                continue
            if part.name in document:
                known[part.name] = document[part.name]
            elif part.default is MISSING and part.default_factory is MISSING:
                raise UnexpectedAnswer(f"the answer has no {part.name!r}, which a {cls.__name__} needs")
        return cls(raw=document, **known)  # pyright: ignore[reportUnknownArgumentType] - JSON objects have string keys


@dataclass(frozen=True)
class Usage(View):
    """Each is `{"used": …, "limit": …}`; a limit of None is none."""

    bytes: dict[str, Any]
    models: dict[str, Any]
    running_jobs: dict[str, Any]
    predictions_per_day: dict[str, Any]


@dataclass(frozen=True)
class User(View):
    id: str
    email: str
    username: str
    full_name: str = ""
    workspace_id: str | None = None
    role: str | None = None


@dataclass(frozen=True)
class ApiKey(View):
    """`key` is there only in the answer that made it."""

    id: str
    name: str
    scopes: list[str] = field(default_factory=list[str])
    key: str | None = None
    prefix: str | None = None
    expires_at: str | None = None


@dataclass(frozen=True)
class Project(View):
    id: str
    name: str
    description: str = ""
    tags: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Dataset(View):
    """`status` is processing, ready or invalid; `job_id` is the profile job."""

    id: str
    name: str
    status: str
    project_id: str | None = None
    version: int = 1
    job_id: str | None = None
    rows: int | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    columns: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    warnings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    problem: dict[str, Any] | None = None


@dataclass(frozen=True)
class Model(View):
    """A model with its latest version (`latest`, whole in answers about one model).

    `status` is training, trained, deployed, deprecated or failed; of an uploaded file quarantined, validating, ready or rejected.
    `metrics` are of the hold-out rows.
    """

    id: str
    name: str
    status: str
    version: int = 1
    framework: str = ""
    algorithm: str = ""
    target: str | None = None
    job_id: str | None = None
    metrics: dict[str, float] | None = None
    latest: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def fit_seconds(self) -> float | None:
        return self.latest.get("fit_seconds")

    @property
    def microseconds_per_row(self) -> float | None:
        """What one prediction costs, as measured by the trainer."""
        return self.latest.get("microseconds_per_row")


@dataclass(frozen=True)
class ModelVersion(View):
    """One training of a model, as a leaderboard lists it; `microseconds_per_row` was measured by the trainer."""

    id: str
    model_id: str
    name: str
    version: int
    status: str
    framework: str = ""
    algorithm: str = ""
    target: str | None = None
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    fit_seconds: float | None = None
    microseconds_per_row: float | None = None


@dataclass(frozen=True)
class Deployment(View):
    """`status` is the rollout's, replica by replica in `replicas`; `waiting_for` names a version that still trains.

    `policy` says what becomes of missing, extra and unseen values.
    """

    id: str
    model_id: str
    model_name: str
    status: str
    version: int | None = None
    waiting_for: int | None = None
    predict_path: str | None = None
    public: bool = False
    policy: dict[str, str] = field(default_factory=dict[str, str])
    replicas: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


@dataclass(frozen=True)
class BatchPrediction(View):
    """`status` is processing, ready or failed; `report` counts the rows and names the columns of the result."""

    id: str
    model_id: str
    status: str
    job_id: str
    output_format: str = "parquet"
    report: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


@dataclass(frozen=True)
class Job(View):
    """`progress` runs from 0 to 1 where the work can be counted; `problem` says why a job failed."""

    id: str
    kind: str
    state: str
    queue: str = ""
    stage: str | None = None
    progress: float | None = None
    attempt: int = 0
    result: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES


@dataclass(frozen=True)
class LogLine(View):
    """`level` is the trainer's own, or `output` for a line of its standard output."""

    at: str
    level: str
    message: str


@dataclass(frozen=True)
class JobEvent:
    """A moment of a job's life: `kind` is state, stage, progress, log or cancel."""

    kind: str
    data: Document
    id: str | None = None


@dataclass(frozen=True)
class Prediction(View):
    """`prediction` is a class label or a number; `processing_time` is milliseconds."""

    prediction: Any
    model_id: str | None = None
    confidence_score: float | None = None
    probabilities: dict[str, float] | None = None
    processing_time: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Predictions(View):
    """Answers in the order of the rows sent."""

    predictions: list[Any]
    total_processing_time: float | None = None
    average_time_per_prediction: float | None = None


V = TypeVar("V", bound=View)
