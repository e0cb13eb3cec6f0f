"""A scikit-learn multi-layer perceptron in numpy, with its own activations."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mill_pack.arrays import FloatArray
from mill_pack.engines.base import Blob, EnginePayload, Shape, Source, quietly, refuse, the_file
from mill_pack.engines.links import expit, probabilities
from mill_pack.engines.tensors import pack, unpack
from mill_pack.errors import InvalidPackage

FILE = "mlp.f64"

_ACTIVATIONS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "identity": lambda values: values,
    "tanh": np.tanh,
    "logistic": expit,
    "relu": lambda values: np.maximum(values, 0.0),
}


class MlpEngine:
    def __init__(self, activation: str, layers: Sequence[tuple[FloatArray, FloatArray]], shape: Shape) -> None:
        widths = [shape.width, *(bias.shape[0] for _, bias in layers)]
        fits = all(
            weights.shape == (before, after) and bias.shape == (after,)
            for (weights, bias), before, after in zip(layers, widths, widths[1:], strict=False)
        )
        if not layers or not fits or widths[-1] != (1 if shape.outputs <= 2 else shape.outputs):
            raise InvalidPackage("The layers of the perceptron do not fit each other or the model.")
        self._activate = _ACTIVATIONS[activation]
        self._layers = layers
        self._is_classifier = shape.is_classifier
        self.nbytes = sum(weights.nbytes + bias.nbytes for weights, bias in layers)

    @quietly
    def outputs(self, matrix: FloatArray) -> FloatArray:
        values = matrix
        for weights, bias in self._layers[:-1]:
            values = self._activate(values @ weights + bias)
        weights, bias = self._layers[-1]
        scores = values @ weights + bias
        return probabilities(scores) if self._is_classifier else scores

    def outputs_one(self, vector: FloatArray) -> list[float]:
        return self.outputs(vector[None, :])[0].tolist()


def build(source: Source) -> EnginePayload:
    estimator: Any = source.estimator
    if source.framework != "scikit-learn" or not hasattr(estimator, "coefs_"):
        raise refuse("mlp", source)
    last = {1: "identity" if not source.shape.is_classifier else "logistic", 2: "logistic"}
    if estimator.activation not in _ACTIVATIONS or estimator.out_activation_ != last.get(
        source.shape.outputs, "softmax"
    ):
        raise refuse("mlp", source)
    arrays: list[FloatArray] = []
    for weights, bias in zip(estimator.coefs_, estimator.intercepts_, strict=True):
        arrays += [np.asarray(weights, dtype=np.float64), np.asarray(bias, dtype=np.float64)]
    return EnginePayload("mlp", {FILE: pack({"engine": "mlp", "activation": estimator.activation}, arrays)})


def load(files: Mapping[str, Blob], shape: Shape) -> MlpEngine:
    head, arrays = unpack(the_file(files, FILE))
    activation = str(head.get("activation"))
    if head != {"engine": "mlp", "activation": activation} or activation not in _ACTIVATIONS or len(arrays) % 2:
        raise InvalidPackage("The perceptron's file is not one.")
    return MlpEngine(activation, list(zip(arrays[::2], arrays[1::2], strict=True)), shape)
