"""What crosses the wire about models."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from mill_contracts.adoption import ModelFramework
from mill_contracts.recipe import (
    ColumnName,
    Framework,
    LowConfidence,
    Preprocessing,
    Task,
    Validation,
)
from mill_contracts.training import ConfusionMatrix, Curve, FeatureImportance
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from mill_api.models.tables import ModelRow, ModelStatus, ModelVersionRow
from mill_api.texts import Description, Name, Tags, VersionNumber, all_storable


def _addressable(name: str) -> str:
    """A name is part of a URL, `/predict/{name}@{version}`, and must not be taken for an id."""
    if any(sign in name for sign in "/@\\"):
        raise ValueError("a model's name is part of a URL: no slash, backslash or @")
    if not name.strip("."):
        raise ValueError("a model's name is part of a URL, where dots alone mean a folder")
    if _is_id(name):
        raise ValueError("a model's name must not be taken for an id")
    return name


def _is_id(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True


ModelName = Annotated[Name, StringConstraints(max_length=100), AfterValidator(_addressable)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class ModelWish(_Wire):
    """Train a model. The same name again trains its next version. `parameters` have the library's own names."""

    name: ModelName
    description: Description = ""
    tags: Tags = []
    project_id: UUID
    dataset_id: UUID
    dataset_version: VersionNumber | None = Field(default=None, description="The latest when left out")
    model_type: Task
    framework: Framework
    algorithm: str | None = Field(default=None, max_length=64, description="The framework's default when left out")
    target: ColumnName | None = Field(
        default=None, description="Left out: the column named target, label or class, else the last column"
    )
    features: list[ColumnName] | None = Field(default=None, min_length=1, max_length=5_000)
    exclude: list[ColumnName] = Field(default=[], max_length=5_000)
    parameters: dict[str, Any] = Field(default={}, max_length=200)
    validation: Validation | None = None
    preprocessing: Preprocessing | None = None
    class_labels: dict[str, Annotated[str, Field(min_length=1)]] = Field(default={}, max_length=1_000)
    positive_class: str | None = Field(default=None, max_length=256)
    decision_threshold: float | None = Field(default=None, gt=0, lt=1)
    low_confidence: LowConfidence | None = None
    seed: int = Field(default=42, ge=0, le=2**31 - 1)

    @model_validator(mode="before")
    @classmethod
    def _can_be_kept(cls, wish: Any) -> Any:
        return all_storable(wish)

    @model_validator(mode="after")
    def _only_classifiers_have_classes(self) -> Self:
        given = {
            "class_labels": self.class_labels,
            "positive_class": self.positive_class,
            "decision_threshold": self.decision_threshold,
            "low_confidence": self.low_confidence,
        }
        wrong = [name for name, value in given.items() if value]
        if self.model_type is Task.REGRESSION and wrong:
            raise ValueError(f"{', '.join(wrong)} need a classification")
        return self


class ModelChange(_Wire):
    description: Description | None = None
    tags: Tags | None = None


class UploadedFile(_Wire):
    """What came from outside; the bytes themselves are gone once they are judged."""

    file_name: str
    sha256: str
    size_bytes: int
    format: str | None


class ModelVersionSummary(_Wire):
    """One training, or one uploaded file. `target_reason` says why the target is the target; both are null while the dataset is
    being profiled."""

    id: UUID
    model_id: UUID
    name: str
    version: int
    status: ModelStatus
    job_id: UUID
    dataset_id: UUID | None
    dataset_version_id: UUID | None
    model_type: Task
    framework: ModelFramework
    algorithm: str
    target: str | None
    target_reason: str | None
    metrics: dict[str, float]
    fit_seconds: float | None
    microseconds_per_row: float | None
    package_bytes: int | None
    upload: UploadedFile | None
    problem: dict[str, Any] | None
    created_at: datetime

    @classmethod
    def of(cls, model: ModelRow, row: ModelVersionRow, *, deployed: bool) -> Self:
        return cls.model_validate(_version_fields(model, row, deployed=deployed))


class ModelVersion(ModelVersionSummary):
    """One training whole. Curves by name, as `mill_contracts.training.TrainingReport` lists them."""

    recipe: dict[str, Any] | None
    parameters: dict[str, Any]
    features: list[str]
    classes: list[str]
    training_rows: int | None
    holdout_rows: int | None
    cross_validation: dict[str, list[float]]
    curves: dict[str, Curve]
    confusion: ConfusionMatrix | None
    importance: list[FeatureImportance]
    importance_method: str | None
    engine: str | None
    package_sha256: str | None
    lineage: dict[str, Any]
    warnings: list[dict[str, Any]]

    @classmethod
    def of(cls, model: ModelRow, row: ModelVersionRow, *, deployed: bool) -> Self:
        report = row.report or {}
        return cls.model_validate(
            {
                **_version_fields(model, row, deployed=deployed),
                "recipe": row.recipe,
                "parameters": (row.recipe or row.wish).get("parameters", {}),
                "features": report.get("features", []),
                "classes": report.get("classes", []),
                "training_rows": report.get("training_rows"),
                "holdout_rows": report.get("holdout_rows"),
                "cross_validation": report.get("cross_validation", {}),
                "curves": report.get("curves", {}),
                "confusion": report.get("confusion"),
                "importance": report.get("importance", []),
                "importance_method": report.get("importance_method"),
                "engine": report.get("engine_check", {}).get("engine"),
                "package_sha256": row.package_sha256,
                "lineage": report.get("lineage", {}),
                "warnings": report.get("warnings", []),
            }
        )


class ModelSummary(_Wire):
    """A model with its latest version."""

    id: UUID
    project_id: UUID
    name: str
    description: str
    tags: list[str]
    model_type: Task
    status: ModelStatus
    version: int
    version_id: UUID
    job_id: UUID
    framework: ModelFramework
    algorithm: str
    target: str | None
    target_reason: str | None
    metrics: dict[str, float]
    problem: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, model: ModelRow, latest: ModelVersionRow, *, deployed: bool) -> Self:
        return cls.model_validate(_model_fields(model, latest, deployed=deployed))


class Model(ModelSummary):
    """A model and, whole, its latest version (or the one asked for)."""

    latest: ModelVersion

    @classmethod
    def of(cls, model: ModelRow, latest: ModelVersionRow, *, deployed: bool) -> Self:
        whole = ModelVersion.of(model, latest, deployed=deployed)
        return cls.model_validate({**_model_fields(model, latest, deployed=deployed), "latest": whole.model_dump()})


def _version_fields(model: ModelRow, row: ModelVersionRow, *, deployed: bool) -> dict[str, Any]:
    report = row.report or {}
    return {
        "id": row.id,
        "model_id": model.id,
        "name": model.name,
        "version": row.version,
        "status": row.status(deployed=deployed),
        "job_id": row.job_id,
        "dataset_id": row.dataset_id,
        "dataset_version_id": row.dataset_version_id,
        "model_type": model.task,
        "framework": row.framework,
        "algorithm": row.algorithm,
        "target": row.target,
        "target_reason": row.target_reason,
        "metrics": report.get("metrics", {}),
        "fit_seconds": report.get("fit_seconds"),
        "microseconds_per_row": report.get("cost", {}).get("microseconds_per_row"),
        "package_bytes": row.package_size,
        "upload": _uploaded(row),
        "problem": row.problem,
        "created_at": row.created_at,
    }


def _uploaded(row: ModelVersionRow) -> UploadedFile | None:
    if row.upload is None:
        return None
    told = row.upload
    found = (row.report or {}).get("format")
    return UploadedFile(file_name=told["file_name"], sha256=told["sha256"], size_bytes=told["size"], format=found)


def _model_fields(model: ModelRow, latest: ModelVersionRow, *, deployed: bool) -> dict[str, Any]:
    version = _version_fields(model, latest, deployed=deployed)
    taken = ("name", "model_type", "status", "version", "job_id", "framework", "algorithm", "target", "target_reason")
    return {
        **{name: version[name] for name in (*taken, "metrics", "problem")},
        "id": model.id,
        "version_id": latest.id,
        "project_id": model.project_id,
        "description": model.description,
        "tags": model.tags,
        "created_at": model.created_at,
        "updated_at": model.updated_at,
    }
