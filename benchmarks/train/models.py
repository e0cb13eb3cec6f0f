"""The demo's four models and the recipe that the platform makes of each."""

from dataclasses import dataclass, replace
from typing import Any

from mill_contracts.recipe import Framework, Recipe, Task

TARGET = "income"


@dataclass(frozen=True)
class Trained:
    """What is asked of the platform and of the bare library alike."""

    name: str
    framework: str
    algorithm: str
    parameters: dict[str, Any]

    def recipe(self) -> Recipe:
        """All else as the platform has it by default."""
        return Recipe(
            task=Task.CLASSIFICATION,
            framework=Framework(self.framework),
            algorithm=self.algorithm,
            target=TARGET,
            parameters=self.parameters,
        )

    def smaller(self) -> "Trained":
        return replace(self, parameters={"n_estimators": 10} if "n_estimators" in self.parameters else {})


XGBOOST = Trained(
    "census-xgboost", "xgboost", "gradient_boosting", {"n_estimators": 300, "learning_rate": 0.1, "max_depth": 6}
)
DEMO = (
    Trained("census-logistic-regression", "scikit-learn", "logistic_regression", {}),
    Trained("census-random-forest", "scikit-learn", "random_forest", {"n_estimators": 100, "min_samples_leaf": 5}),
    XGBOOST,
    Trained("census-lightgbm", "lightgbm", "gradient_boosting", {"n_estimators": 300, "learning_rate": 0.05}),
)
