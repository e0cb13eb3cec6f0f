"""What crosses the wire about deployments and predictions."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from mill_contracts.routing import Policy
from mill_contracts.training import ScoreReport
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mill_api.deployments.live import policy_of
from mill_api.deployments.rollout import Rollout, RolloutState
from mill_api.deployments.tables import BatchPredictionRow, DeploymentRow, PredictionRow
from mill_api.models.tables import ModelRow, ModelVersionRow
from mill_api.texts import StorableJson, VersionNumber, one_line

OutputFormat = Literal["parquet", "csv"]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class PolicyWish(_Wire):
    """What to do with values that do not fit; what is left out stays as it was."""

    missing: Literal["refuse", "impute"] | None = Field(
        default=None,
        description="features left out or null where training never saw them missing; imputed with the middle or the most "
        "frequent value of training",
    )
    extra: Literal["refuse", "ignore"] | None = Field(default=None, description="values of no feature of the model")
    unseen: Literal["accept", "refuse"] | None = Field(default=None, description="categories that training never saw")

    def over(self, before: Policy) -> Policy:
        return before.model_copy(update=self.model_dump(exclude_none=True))


class DeployWish(_Wire):
    """`version`: the latest when left out. A version that is still training goes live when it is trained.

    `public` and `policy` hold for whatever version serves, from now on.
    """

    version: VersionNumber | None = None
    public: bool | None = Field(default=None, description="true: callable without a key, by anyone who can reach it")
    policy: PolicyWish | None = None


class Replica(_Wire):
    replica: str
    state: str
    reason: str | None


class Deployment(_Wire):
    """`status` is the rollout's; `version` is live (or on its way), `waiting_for` still trains."""

    id: UUID
    model_id: UUID
    model_name: str
    status: RolloutState
    version: int | None
    model_version_id: UUID | None
    previous_version: int | None
    waiting_for: int | None
    public: bool
    policy: Policy
    replicas: list[Replica]
    predict_path: str
    deployed_at: datetime | None

    @classmethod
    def of(cls, row: DeploymentRow, model: ModelRow, versions: dict[UUID, ModelVersionRow], rollout: Rollout) -> Self:
        def number(version_id: UUID | None) -> int | None:
            return None if version_id is None else versions[version_id].version

        return cls(
            id=row.id,
            model_id=model.id,
            model_name=model.name,
            status=rollout.state,
            version=number(row.active_version_id),
            model_version_id=row.active_version_id,
            previous_version=number(row.previous_version_id),
            waiting_for=number(row.wanted_version_id),
            public=row.public,
            policy=policy_of(row),
            replicas=[Replica(**asdict(state)) for state in rollout.replicas],
            predict_path=f"/predict/{model.id}",
            deployed_at=row.deployed_at,
        )


class Undeployed(_Wire):
    model_id: UUID
    status: Literal["undeployed"] = "undeployed"


class BatchWish(_Wire):
    """Score a dataset; to score a file of your own, send it as multipart with the same fields."""

    dataset_id: UUID
    dataset_version: VersionNumber | None = None
    version: VersionNumber | None = Field(
        default=None, description="The live version when left out, else the latest trained"
    )
    output_format: OutputFormat = "parquet"
    return_probabilities: bool = True


class BatchForm(_Wire):
    """The text fields beside an uploaded file."""

    version: VersionNumber | None = None
    output_format: OutputFormat = "parquet"
    return_probabilities: bool = True


class BatchPrediction(_Wire):
    """`status` is `processing`, `ready` or `failed`; `report` counts rows and names the columns of the result."""

    id: UUID
    model_id: UUID
    model_version_id: UUID
    dataset_version_id: UUID | None
    job_id: UUID
    status: Literal["processing", "ready", "failed"]
    file_name: str
    output_format: OutputFormat
    report: ScoreReport | None
    problem: dict[str, Any] | None
    created_at: datetime

    @classmethod
    def of(cls, row: BatchPredictionRow) -> Self:
        status = "ready" if row.report is not None else "processing" if row.problem is None else "failed"
        return cls.model_validate(
            {
                "id": row.id,
                "model_id": row.model_id,
                "model_version_id": row.model_version_id,
                "dataset_version_id": row.dataset_version_id,
                "job_id": row.job_id,
                "status": status,
                "file_name": row.file_name,
                "output_format": row.output_format,
                "report": row.report,
                "problem": row.problem,
                "created_at": row.created_at,
            }
        )


class PredictionWish(_Wire):
    """One row for a live model, by id, name or name@version."""

    model: Annotated[str, AfterValidator(one_line)] = Field(min_length=1, max_length=200)
    input_data: StorableJson = Field(max_length=10_000)
    return_probabilities: bool = True
    use_cache: bool = True


class Prediction(_Wire):
    """What was asked and what ml-service answered (`output` is its answer, or its problem where `status` is not 200)."""

    id: UUID
    model: str
    model_id: UUID | None
    status: int
    milliseconds: float
    input: dict[str, Any]
    output: dict[str, Any]
    request_id: str | None
    asked_by: UUID
    created_at: datetime

    @classmethod
    def of(cls, row: PredictionRow) -> Self:
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})
