"""What every peer predicts with: the library's quickest documented call, on one thread, on rows as they come out of JSON.

A peer's server imports this in its own environment; MODEL_FOLDER and MODEL_NAME say which model.
"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# runs in the environment of this peer, which the workspace does not have

import os
from pathlib import Path

import numpy as np

FOLDER = Path(os.environ["MODEL_FOLDER"])
NAME = os.environ["MODEL_NAME"]
MIXED = NAME == "B"
NUMBERS = 8


class Model:
    """`predict` takes (n, d): float64, or for B objects (8 numbers, 4 strings). It gives class places and (n, 2) probabilities."""

    def __init__(self):
        self.positive = {"A": self._xgboost, "B": self._sklearn, "C": self._lightgbm}[NAME]()

    def predict(self, matrix):
        found = np.asarray(self.positive(matrix), dtype=np.float64)
        probabilities = found if found.ndim == 2 else np.column_stack((1.0 - found, found))
        return probabilities.argmax(axis=1), probabilities

    def of_rows(self, rows):
        """Rows as lists."""
        return self.predict(np.array(rows, dtype=object if MIXED else np.float64))

    def of_parts(self, numbers, texts):
        """B from two matrices."""
        matrix = np.empty((len(numbers), numbers.shape[1] + texts.shape[1]), dtype=object)
        matrix[:, :NUMBERS] = numbers
        matrix[:, NUMBERS:] = texts
        return self.predict(matrix)

    @staticmethod
    def _xgboost():
        import xgboost

        booster = xgboost.Booster(model_file=FOLDER / "model.ubj")
        booster.set_param({"nthread": 1})
        return booster.inplace_predict

    @staticmethod
    def _lightgbm():
        import lightgbm

        booster = lightgbm.Booster(model_file=FOLDER / "model.txt")
        return lambda matrix: booster.predict(matrix, num_threads=1)

    @staticmethod
    def _sklearn():
        import joblib

        return joblib.load(FOLDER / "model.joblib").predict_proba


def document(found):
    """The answer where the peer has no form of its own."""
    classes, probabilities = found
    return {"classes": classes.tolist(), "probabilities": probabilities.tolist()}
