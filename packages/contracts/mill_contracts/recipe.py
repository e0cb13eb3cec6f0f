"""The recipe: everything a user may say about a training. The api-server checks it, the trainer follows it."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mill_contracts.base import Contract

ColumnName = Annotated[str, Field(min_length=1, max_length=256)]


class Task(StrEnum):
    CLASSIFICATION = "classification"
    REGRESSION = "regression"


class Framework(StrEnum):
    SKLEARN = "scikit-learn"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"


class Validation(Contract):
    """How quality is measured. `holdout` keeps `test_size` of the rows away; `cross_validation` also fits `folds` times.

    The published model is fitted on the training part only, so that its hold-out metrics are its own.
    """

    method: Literal["holdout", "cross_validation"] = "holdout"
    test_size: float = Field(default=0.2, gt=0.0, lt=0.9)
    folds: int = Field(default=5, ge=2, le=20)
    stratify: bool = True
    time_column: ColumnName | None = None


class Imputation(Contract):
    """What stands in for a missing value. `none` leaves it missing (only where the algorithm takes missing values)."""

    numeric: Literal["auto", "mean", "median", "zero", "none"] = "auto"
    categorical: Literal["auto", "most_frequent", "missing", "none"] = "auto"


class DerivedFeature(Contract):
    """A named expression over input columns, such as `hours_per_week / age`; computed alike in training and serving."""

    name: ColumnName
    expression: str = Field(min_length=1, max_length=500)


class LowConfidence(Contract):
    """Predictions whose confidence is under `below` carry the mark `low_confidence` (classification only)."""

    below: float = Field(gt=0.0, lt=1.0)


class Preprocessing(Contract):
    """`auto` chooses by algorithm: trees get ordinal codes unscaled, linear models, kNN and MLP one-hot and standard scale."""

    imputation: Imputation = Imputation()
    scaling: Literal["auto", "none", "standard", "minmax"] = "auto"
    categories: Literal["auto", "one_hot", "ordinal"] = "auto"
    max_categories: int = Field(default=100, ge=2, le=10_000)
    derived: tuple[DerivedFeature, ...] = Field(default=(), max_length=100)


class Recipe(Contract):
    """One training, complete: the same recipe, data, seed and versions give the same model."""

    task: Task
    framework: Framework
    algorithm: str = Field(min_length=1, max_length=64)
    target: ColumnName
    features: tuple[ColumnName, ...] | None = None
    exclude: tuple[ColumnName, ...] = ()
    parameters: dict[str, Any] = {}
    validation: Validation = Validation()
    preprocessing: Preprocessing = Preprocessing()
    class_labels: dict[str, str] = {}
    positive_class: str | None = None
    decision_threshold: float | None = Field(default=None, gt=0.0, lt=1.0)
    low_confidence: LowConfidence | None = None
    seed: int = Field(default=42, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _only_classifiers_have_classes(self) -> "Recipe":
        about_classes = self.class_labels or self.decision_threshold or self.low_confidence or self.positive_class
        if self.task is Task.REGRESSION and about_classes:
            raise ValueError(
                "class_labels, positive_class, decision_threshold and low_confidence need a classification"
            )
        return self
