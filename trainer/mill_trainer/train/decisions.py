"""From probabilities to decided classes, as the package decides them: the threshold of the positive class, else the largest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from mill_contracts.recipe import Recipe
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Classes:
    """The classes in the order of the estimator's outputs. `positive` indexes the positive one of two."""

    names: tuple[str, ...]
    positive: int = 1
    threshold: float | None = None

    @classmethod
    def of(cls, names: tuple[str, ...], recipe: Recipe) -> "Classes":
        positive = names.index(recipe.positive_class) if recipe.positive_class is not None else 1
        return cls(names, positive, recipe.decision_threshold)

    @property
    def binary(self) -> bool:
        return len(self.names) == 2

    def decide(self, probabilities: Floats) -> NDArray[np.int64]:
        if self.threshold is None:
            return np.argmax(probabilities, axis=1).astype(np.int64)
        chosen = probabilities[:, self.positive] >= self.threshold
        return np.where(chosen, self.positive, 1 - self.positive).astype(np.int64)

    def is_positive(self, y: NDArray[Any]) -> NDArray[np.int64]:
        return (y == self.positive).astype(np.int64)
