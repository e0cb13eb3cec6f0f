"""What an engine is: a payload of files that cannot run code, and numbers in, numbers out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from mill_pack.arrays import FloatArray
from mill_pack.errors import EngineRefused, InvalidPackage

EngineKind = Literal["forest", "linear", "mlp", "xgboost", "lightgbm", "skops"]

Blob = bytes | memoryview


@dataclass(frozen=True, slots=True)
class EnginePayload:
    """The files of one engine by their name in the package."""

    kind: EngineKind
    files: Mapping[str, bytes]

    @property
    def nbytes(self) -> int:
        return sum(len(content) for content in self.files.values())


@dataclass(frozen=True, slots=True)
class Shape:
    """What the model expects: `width` matrix columns in; `outputs` probabilities (classification) or one value out."""

    width: int
    outputs: int
    is_classifier: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What a training hands over. `estimator` is the fitted object of the library; its classes are in the order of `shape`."""

    framework: str
    algorithm: str
    estimator: Any
    shape: Shape


class Engine(Protocol):
    """Immutable, shared by threads. `nbytes` is what it holds in memory, estimated."""

    @property
    def nbytes(self) -> int: ...

    def outputs(self, matrix: FloatArray) -> FloatArray:
        """(n, width) C-contiguous float64 to (n, outputs): probabilities in class order, or one value."""
        ...

    def outputs_one(self, vector: FloatArray) -> list[float]:
        """(width,) to the outputs of that row; the same numbers as `outputs` gives within the engine's tolerance."""
        ...


@runtime_checkable
class Threaded(Protocol):
    """An engine that can share a large block among threads, without the GIL; the same bits as `outputs`."""

    def outputs_by(self, matrix: FloatArray, threads: int) -> FloatArray: ...


@runtime_checkable
class Explaining(Protocol):
    """An engine that can say how its margins come about."""

    def contributions(self, matrix: FloatArray) -> FloatArray:
        """(n, width) to (n, margins, width + 1): what each column adds, and last what any row begins with.

        Together they are the margins: values, log-odds, or probabilities where trees vote. Raises `ExplainUnsupported`.
        """
        ...


def refuse(kind: str, source: Source) -> EngineRefused:
    name = type(source.estimator).__name__
    return EngineRefused(f"The engine {kind!r} cannot serve {name} ({source.framework}, {source.algorithm}).")


def the_file(files: Mapping[str, Blob], name: str) -> Blob:
    if set(files) != {name}:
        raise InvalidPackage(f"The engine needs the file {name!r} and no other.")
    return files[name]


quietly = np.errstate(over="ignore", invalid="ignore")
"""Decorator of engines that compute in numpy: what is not finite is refused later, in words, without a warning on the log."""


def both_classes(positive: FloatArray) -> FloatArray:
    """(n,) probabilities of the second class to (n, 2), subtracting in the precision the library has."""
    return np.stack((1 - positive, positive), axis=1).astype(np.float64)
