"""`manifest.json`, format 1: all that is known of a packaged model. The trainer hands over a draft; packing completes it."""

from typing import Annotated, Any, Literal

from mill_contracts.base import Contract
from mill_contracts.recipe import Recipe, Task
from mill_contracts.training import Cost, Curve, EngineCheck
from pydantic import Field, model_validator

from mill_pack.encoding.document import EncoderDocument
from mill_pack.signature import Signature

FORMAT = 1

JsonValue = str | bool | int | float | None

UPLOADED = "uploaded"
"""The `origin` in the lineage of a model that was trained elsewhere and came in as a file."""


class Postprocessing(Contract):
    """From probabilities to the answer. `class_labels` renames classes in the output only."""

    class_labels: dict[str, str] = {}
    positive_class: str | None = None
    decision_threshold: float | None = Field(default=None, gt=0.0, lt=1.0)
    low_confidence_below: float | None = Field(default=None, gt=0.0, lt=1.0)

    @classmethod
    def of(cls, recipe: Recipe) -> "Postprocessing":
        return cls(
            class_labels=recipe.class_labels,
            positive_class=recipe.positive_class,
            decision_threshold=recipe.decision_threshold,
            low_confidence_below=recipe.low_confidence.below if recipe.low_confidence else None,
        )


class FeatureReference(Contract):
    """How an input was spread in training, for drift. Numbers have `edges` (quantiles, n + 1) and `counts` (n); strings `categories`."""

    name: str
    rows: int
    missing: int
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    categories: dict[str, int] = {}


class GoldenRows(Contract):
    """Inputs as a client would send them, and the engine's outputs on the machine that packed them."""

    rows: tuple[dict[str, JsonValue], ...]
    outputs: tuple[tuple[float, ...], ...]
    tolerance: float = Field(ge=0.0)

    @model_validator(mode="after")
    def _has_an_output_for_each_row(self) -> "GoldenRows":
        if len(self.rows) != len(self.outputs) or len({len(row) for row in self.outputs}) > 1:
            raise ValueError("golden rows and their outputs do not match")
        return self


class FileEntry(Contract):
    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)+$", max_length=64)]
    size: int = Field(ge=0)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class EngineDescription(Contract):
    kind: str
    files: tuple[FileEntry, ...] = Field(min_length=1, max_length=14)
    check: EngineCheck | None = None


class ManifestDraft(Contract):
    """What the trainer knows. `classes` are in the order of the engine's outputs; empty for a regression."""

    model_id: str
    model_version_id: str
    name: str
    version: int
    task: Task
    target: str
    classes: tuple[str, ...] = ()
    postprocessing: Postprocessing = Postprocessing()
    engine_check: EngineCheck | None = None
    metrics: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    reference: tuple[FeatureReference, ...] = ()
    lineage: dict[str, Any] = {}
    cost: Cost | None = None


class Manifest(Contract):
    format: Literal[1] = FORMAT
    model_id: str
    model_version_id: str
    name: str
    version: int
    task: Task
    signature: Signature
    encoder: EncoderDocument
    postprocessing: Postprocessing
    engine: EngineDescription
    golden: GoldenRows
    metrics: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    reference: tuple[FeatureReference, ...] = ()
    lineage: dict[str, Any] = {}
    cost: Cost | None = None

    @property
    def is_from_outside(self) -> bool:
        """Whether it was trained elsewhere: its numbers are then a stranger's."""
        return self.lineage.get("origin") == UPLOADED

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Manifest":
        classes, labels = self.signature.classes, self.postprocessing.class_labels
        if self.signature.task is not self.task or self.signature.features != self.encoder.features:
            raise ValueError("the signature does not match the task or the encoder")
        if (self.task is Task.CLASSIFICATION) != (len(classes) >= 2) or len(set(classes)) != len(classes):
            raise ValueError("a classification needs two or more distinct classes, a regression none")
        if not set(labels) <= set(classes):
            raise ValueError("class_labels name a class the model does not have")
        if len({labels.get(name, name) for name in classes}) != len(classes):
            raise ValueError("class_labels give two classes one label")
        positive = self.postprocessing.positive_class
        if positive is not None and positive not in classes:
            raise ValueError("positive_class names a class the model does not have")
        if self.postprocessing.decision_threshold is not None and len(classes) != 2:
            raise ValueError("decision_threshold needs exactly two classes")
        return self
