"""What is known of a model after training or of a batch after scoring. Stored with the model version or the job."""

from typing import Any

from mill_contracts.base import Contract
from mill_contracts.recipe import Recipe
from mill_contracts.tables import TableWarning


class Curve(Contract):
    """Points of a curve, at most 200; `thresholds` where each point has one."""

    x_label: str
    y_label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    thresholds: tuple[float, ...] = ()


class ConfusionMatrix(Contract):
    """`counts[actual][predicted]` in the order of `labels`."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class FeatureImportance(Contract):
    feature: str
    importance: float


class Cost(Contract):
    """Measured on the trainer's machine: what one prediction and one load cost."""

    microseconds_per_row: float
    package_bytes: int
    load_seconds: float


class EngineCheck(Contract):
    """The publish-time comparison of the serving engine with the library that trained the model."""

    engine: str
    rows_compared: int
    largest_difference: float
    classes_differing: int
    tolerance: float


class TrainingReport(Contract):
    """Metrics are of the hold-out part. Classification: roc_auc, average_precision, log_loss, accuracy, balanced_accuracy,
    f1, precision, recall, brier; regression: rmse, mae, r2, median_absolute_error. Absent where undefined.

    Curves by name: `roc`, `precision_recall`, `calibration` (binary), `residuals`, `predicted_actual` (regression).
    """

    recipe: Recipe
    task: str
    classes: tuple[str, ...] = ()
    features: tuple[str, ...]
    training_rows: int
    holdout_rows: int
    metrics: dict[str, float]
    cross_validation: dict[str, tuple[float, ...]] = {}
    curves: dict[str, Curve] = {}
    confusion: ConfusionMatrix | None = None
    importance: tuple[FeatureImportance, ...] = ()
    importance_method: str | None = None
    fit_seconds: float
    cost: Cost
    engine_check: EngineCheck
    package_sha256: str
    lineage: dict[str, Any]
    warnings: tuple[TableWarning, ...] = ()


class ScoreReport(Contract):
    rows: int
    rows_with_missing: int
    output_file: str
    output_format: str
    output_bytes: int
    output_sha256: str
    columns: tuple[str, ...]
    seconds: float
    warnings: tuple[TableWarning, ...] = ()
