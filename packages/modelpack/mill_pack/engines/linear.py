"""Logistic and linear regression, ridge and kin, in numpy. Every row is its own dot product, so batch and single rows agree."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mill_pack.arrays import FloatArray
from mill_pack.engines.base import Blob, EnginePayload, Shape, Source, quietly, refuse, the_file
from mill_pack.engines.links import probabilities, softmax
from mill_pack.engines.tensors import pack, unpack
from mill_pack.errors import InvalidPackage

FILE = "linear.f64"


class LinearEngine:
    def __init__(self, weights: FloatArray, bias: FloatArray, shape: Shape) -> None:
        scores = 1 if shape.outputs <= 2 else shape.outputs
        if weights.shape != (scores, shape.width) or bias.shape != (scores,):
            raise InvalidPackage("The linear engine does not fit the model's width and classes.")
        self._weights = weights
        self._bias = bias
        self._is_classifier = shape.is_classifier
        self.nbytes = weights.nbytes + bias.nbytes

    @quietly
    def outputs(self, matrix: FloatArray) -> FloatArray:
        scores = np.vecdot(matrix[:, None, :], self._weights) + self._bias
        return probabilities(scores) if self._is_classifier else scores

    @quietly
    def outputs_one(self, vector: FloatArray) -> list[float]:
        scores = np.vecdot(vector, self._weights) + self._bias
        if not self._is_classifier:
            return scores.tolist()
        if len(scores) > 1:
            return softmax(scores[None, :])[0].tolist()
        small = float(np.exp(-np.abs(scores))[0])
        positive = 1.0 / (1.0 + small) if scores[0] >= 0 else small / (1.0 + small)
        return [1.0 - positive, positive]

    @quietly
    def contributions(self, matrix: FloatArray) -> FloatArray:
        """Each weight times its value; a scaled column's value is its distance from the middle of the training data."""
        found = np.empty((len(matrix), len(self._bias), matrix.shape[1] + 1))
        found[:, :, :-1] = matrix[:, None, :] * self._weights
        found[:, :, -1] = self._bias
        return found


def linear_payload(weights: FloatArray, bias: FloatArray) -> EnginePayload:
    """`weights` (scores, width) and `bias` (scores,); one row of scores for a regression or two classes."""
    return EnginePayload("linear", {FILE: pack({"engine": "linear"}, [weights, bias])})


def build(source: Source) -> EnginePayload:
    estimator: Any = source.estimator
    if source.framework != "scikit-learn" or not hasattr(estimator, "coef_") or not hasattr(estimator, "intercept_"):
        raise refuse("linear", source)
    if hasattr(estimator, "multi_class") and estimator.multi_class == "ovr":
        raise refuse("linear", source)
    scores = 1 if source.shape.outputs <= 2 else source.shape.outputs
    weights = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
    bias = np.broadcast_to(np.atleast_1d(np.asarray(estimator.intercept_, dtype=np.float64)), (scores,))
    if weights.shape != (scores, source.shape.width):
        raise refuse("linear", source)
    return linear_payload(weights, bias)


def load(files: Mapping[str, Blob], shape: Shape) -> LinearEngine:
    head, arrays = unpack(the_file(files, FILE))
    if head != {"engine": "linear"} or len(arrays) != 2:
        raise InvalidPackage("The linear engine's file is not one.")
    return LinearEngine(arrays[0], arrays[1], shape)
