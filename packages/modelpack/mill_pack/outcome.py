"""From an engine's outputs to answers: labels, confidence, the low-confidence mark. Ties go to the first class, as in the libraries."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mill_pack.arrays import FloatArray
from mill_pack.errors import InvalidInput
from mill_pack.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Prediction:
    """`value` is a label or a number; `confidence` the probability of that label.

    Warnings name categories never (or too rarely) seen in training.
    """

    value: str | float
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    low_confidence: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Predictions:
    """n answers. `probabilities` (n, K) are in the order of `labels`, `winners` (n,) the columns that won; `numbers` (n,) a regression's.

    A confidence below `below` is marked as low. `unseen` counts, by feature, the rows whose category is unknown to the model;
    `warnings` say the same in words.
    """

    numbers: FloatArray | None = None
    labels: tuple[str, ...] = ()
    probabilities: FloatArray | None = None
    winners: NDArray[np.int64] | None = None
    below: float = 0.0
    warnings: tuple[str, ...] = ()
    rows_with_missing: int = 0
    unseen: Mapping[str, int] = field(default_factory=dict[str, int])

    def __len__(self) -> int:
        found = self.numbers if self.winners is None else self.winners
        return 0 if found is None else len(found)

    @property
    def values(self) -> list[str] | FloatArray:
        """Labels, or (n,) numbers; made anew at each call, as are `confidence` and `low_confidence`."""
        if self.winners is None:
            return np.empty(0) if self.numbers is None else self.numbers
        return list(map(self.labels.__getitem__, self.winners.tolist()))

    @property
    def confidence(self) -> FloatArray | None:
        """(n,) the winners' probabilities; None for a regression."""
        if self.probabilities is None or self.winners is None:
            return None
        width = self.probabilities.shape[1]
        places: NDArray[np.int64] = np.arange(0, len(self) * width, width, dtype=np.int64) + self.winners
        return self.probabilities.ravel().take(places)

    @property
    def low_confidence(self) -> NDArray[np.bool_]:
        """(n,)"""
        confidence = self.confidence if self.below > 0.0 else None
        return np.zeros(len(self), dtype=np.bool_) if confidence is None else confidence < self.below


class Decider:
    """Compiled from the manifest once."""

    def __init__(self, manifest: Manifest) -> None:
        rules = manifest.postprocessing
        classes = manifest.signature.classes
        self.labels = tuple(rules.class_labels.get(name, name) for name in classes)
        self._below = rules.low_confidence_below or 0.0
        self._threshold = rules.decision_threshold
        self._positive = classes.index(rules.positive_class) if rules.positive_class is not None else 1

    def one(self, outputs: list[float], warnings: tuple[str, ...]) -> Prediction:
        """From one row's outputs. Raises `InvalidInput` where they are not finite."""
        winner, is_low = self.decide(outputs)
        if not self.labels:
            return Prediction(outputs[0], warnings=warnings)
        probabilities = dict(zip(self.labels, outputs, strict=True))
        return Prediction(self.labels[winner], outputs[winner], probabilities, is_low, warnings)

    def decide(self, outputs: list[float]) -> tuple[int, bool]:
        """The winning output and the low-confidence mark; 0 and false for a regression. Raises `InvalidInput` as `one`."""
        total = sum(outputs)
        if total - total != 0.0:
            raise _not_finite(None)
        if not self.labels:
            return 0, False
        if self._threshold is None:
            winner = outputs.index(max(outputs))
        else:
            winner = self._positive if outputs[self._positive] >= self._threshold else 1 - self._positive
        return winner, outputs[winner] < self._below

    def many(self, outputs: FloatArray, warnings: tuple[str, ...], rows_with_missing: int) -> Predictions:
        """From (n, outputs). Raises `InvalidInput` naming the first row that is not finite."""
        finite = np.isfinite(outputs)
        if not finite.all():
            raise _not_finite(int(np.argmin(finite.all(axis=1))))
        if not self.labels:
            values = np.ascontiguousarray(outputs[:, 0])
            return Predictions(values, warnings=warnings, rows_with_missing=rows_with_missing)
        return Predictions(
            labels=self.labels,
            probabilities=outputs,
            winners=self._winners(outputs).astype(np.int64, copy=False),
            below=self._below,
            warnings=warnings,
            rows_with_missing=rows_with_missing,
        )

    def _winners(self, outputs: FloatArray) -> NDArray[np.intp]:
        if self._threshold is None and len(self.labels) == 2:
            return (outputs[:, 1] > outputs[:, 0]).astype(np.intp)
        if self._threshold is None:
            return outputs.argmax(axis=1)
        is_positive = outputs[:, self._positive] >= self._threshold
        return np.where(is_positive, self._positive, 1 - self._positive)


def _not_finite(row: int | None) -> InvalidInput:
    where = "The row" if row is None else f"Row {row + 1}"
    return InvalidInput(f"{where} holds numbers so large that the prediction is not finite; check their units.")
