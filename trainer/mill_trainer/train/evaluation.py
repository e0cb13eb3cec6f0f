"""What a fitted model does on rows it never saw: metrics, curves, confusion, and one number to permute columns by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from mill_contracts.training import ConfusionMatrix, Curve
from numpy.typing import NDArray

from mill_trainer.train import metrics
from mill_trainer.train.curves import classification_curves, confusion, regression_curves
from mill_trainer.train.decisions import Classes
from mill_trainer.train.errors import InvalidParameters
from mill_trainer.train.estimators import Estimator, Family
from mill_trainer.train.fitting import predictions, probabilities, refusing

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """`outputs` are the library's own: (n, K) probabilities or (n, 1) values of the rows."""

    outputs: Floats
    metrics: dict[str, float]
    curves: dict[str, Curve]
    confusion: ConfusionMatrix | None


@dataclass(frozen=True)
class Evaluator:
    """Measures one family's estimators; `classes` is None for a regression."""

    family: Family
    classes: Classes | None

    def outputs(self, estimator: Estimator, matrix: Floats) -> Floats:
        """(n, K) probabilities or (n, 1) values. Raises `InvalidParameters` where the library refuses to predict."""
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow shows in the outputs, which are looked at
            if self.classes is None:
                return refusing(self.family, lambda: predictions(estimator, matrix).reshape(-1, 1))
            return refusing(self.family, lambda: probabilities(estimator, matrix))

    def finite_outputs(self, estimator: Estimator, matrix: Floats) -> Floats:
        """Of real rows. Raises `InvalidParameters` where the model runs away, as a diverged fit does."""
        outputs = self.outputs(estimator, matrix)
        if not np.isfinite(outputs).all():
            raise InvalidParameters(
                f"{self.family.title} predicts values that are not finite on the hold-out: the fit diverged. "
                "Lower the learning rate, regularise more, or choose another objective."
            )
        return outputs

    def metrics(self, estimator: Estimator, matrix: Floats, y: NDArray[Any]) -> dict[str, float]:
        return self._metrics(y, self.finite_outputs(estimator, matrix))

    def evaluate(self, estimator: Estimator, matrix: Floats, y: NDArray[Any]) -> Evaluation:
        outputs = self.finite_outputs(estimator, matrix)
        if self.classes is None:
            return Evaluation(outputs, self._metrics(y, outputs), regression_curves(y, outputs[:, 0]), None)
        table = confusion(y, self.classes.decide(outputs), self.classes.names)
        return Evaluation(outputs, self._metrics(y, outputs), classification_curves(y, outputs, self.classes), table)

    def error(self, estimator: Estimator, y: NDArray[Any]) -> Callable[[Floats], float]:
        """Smaller is better: the Brier score, or the mean squared error."""

        def of(matrix: Floats) -> float:
            outputs = self.finite_outputs(estimator, matrix)
            if self.classes is None:
                with np.errstate(over="ignore"):
                    return float(np.mean((y - outputs[:, 0]) ** 2))
            return metrics.brier(y, outputs)

        return of

    def _metrics(self, y: NDArray[Any], outputs: Floats) -> dict[str, float]:
        if self.classes is None:
            return metrics.regression_metrics(y, outputs[:, 0])
        return metrics.classification_metrics(y, outputs, self.classes)
