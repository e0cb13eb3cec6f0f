"""Model files from outside: what may be uploaded, what is said of it, and what a validated one has become."""

from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from mill_contracts.base import Contract
from mill_contracts.recipe import ColumnName
from mill_contracts.tables import ColumnKind, TableWarning
from mill_contracts.training import Cost, EngineCheck

SampleValue = str | bool | int | float | None


class ModelFramework(StrEnum):
    """Where a model comes from: what Modelmill trains with, and what it takes from outside."""

    SKLEARN = "scikit-learn"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    ONNX = "onnx"


class ModelFileFormat(StrEnum):
    """What a file is by its content; names and endings are never looked at."""

    XGBOOST_JSON = "xgboost-json"
    XGBOOST_UBJ = "xgboost-ubj"
    LIGHTGBM_TEXT = "lightgbm-text"
    ONNX = "onnx"
    SKOPS = "skops"


class DeclaredFeature(Contract):
    """One input, in the order of the file's columns. A string needs its `categories` in the order of the model's codes."""

    name: ColumnName
    kind: ColumnKind = ColumnKind.NUMBER
    nullable: bool | None = None
    categories: tuple[str, ...] = Field(default=(), max_length=10_000)
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _holds_values(self) -> "DeclaredFeature":
        if self.kind is ColumnKind.EMPTY:
            raise ValueError("a feature of kind empty holds no values")
        if (self.kind is ColumnKind.STRING) != bool(self.categories) or len(set(self.categories)) != len(
            self.categories
        ):
            raise ValueError(
                "a string needs distinct categories in the order of the model's codes, any other kind none"
            )
        return self


class DeclaredSignature(Contract):
    """What the file itself may not tell. What is left out comes from the file, then from sample rows, then from defaults."""

    features: tuple[DeclaredFeature, ...] = Field(default=(), max_length=50_000)
    classes: tuple[str, ...] = Field(default=(), max_length=10_000)
    target: ColumnName = "prediction"

    @model_validator(mode="after")
    def _has_distinct_names(self) -> "DeclaredSignature":
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names) or len(set(self.classes)) != len(self.classes):
            raise ValueError("features and classes need distinct names")
        return self


class AdoptionReport(Contract):
    """What an uploaded model has become. Its figures are of the rewritten package: the file itself is never served.

    `engine_check` compares the rewritten model with the library the file came from, on rows made up for it; `rows_compared` is 0
    where that library is not at hand.
    """

    task: str
    format: ModelFileFormat
    algorithm: str
    classes: tuple[str, ...] = ()
    features: tuple[str, ...]
    target: str
    metrics: dict[str, float] = {}
    cost: Cost
    engine_check: EngineCheck
    package_sha256: str
    lineage: dict[str, Any]
    warnings: tuple[TableWarning, ...] = ()
