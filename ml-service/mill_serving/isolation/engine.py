"""Stands where the engine of a package from outside would: encoder and answers are here, the model's own numbers are not.

`ward` makes it. Matrices go to the model's process in pieces, so that neither side holds more than it must.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from mill_pack import ExplainUnsupported, FloatArray

PIECE_BYTES = 4 << 20
_PIECE_ROWS = 8192
_EXPLAINED_ROWS = 256
_SPREAD = 3
"""Uploaded numbers take up to so much more room as an engine than as a file."""

Ask = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]


class Asked(Protocol):
    def ask(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]: ...

    def broke_the_rules(self) -> Exception: ...


class IsolatedEngine:
    """Used by one thread at a time, that of the model's own lane. Raises `ModelCrashed`, `ModelSuspended`, `Overloaded`."""

    def __init__(self, process: Asked, outputs: int, payload_bytes: int) -> None:
        self._process = process
        self._outputs = outputs
        self.nbytes = _SPREAD * payload_bytes

    def outputs(self, matrix: FloatArray) -> FloatArray:
        rows = max(1, min(_PIECE_ROWS, PIECE_BYTES // (8 * max(1, matrix.shape[1]))))
        pieces = [self._ask("outputs", piece, (self._outputs,)) for piece in _pieces(matrix, rows)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.zeros((0, self._outputs))])

    def outputs_one(self, vector: FloatArray) -> list[float]:
        return self._ask("outputs", vector.reshape(1, -1), (self._outputs,))[0].tolist()

    def _ask(self, verb: str, matrix: FloatArray, widths: tuple[int, ...]) -> FloatArray:
        """(n, …) as wide as it must be; -1 is any width up to the number of outputs."""
        head, body = self._process.ask({"verb": verb, "shape": matrix.shape}, matrix.tobytes())
        refused = head.get("refused")
        if isinstance(refused, str) and verb == "contributions":
            raise ExplainUnsupported(refused[:1000])
        shape = _shape(head.get("shape"), (len(matrix), *widths), self._outputs)
        if shape is None or len(body) != 8 * int(np.prod(shape)):
            raise self._process.broke_the_rules()
        return np.frombuffer(bytearray(body), dtype=np.float64).reshape(shape)


class ExplainingIsolatedEngine(IsolatedEngine):
    """Of a kind whose contributions are computed by our own code."""

    def contributions(self, matrix: FloatArray) -> FloatArray:
        widths = (-1, matrix.shape[1] + 1)
        return np.concatenate([self._ask("contributions", piece, widths) for piece in _pieces(matrix, _EXPLAINED_ROWS)])


def _pieces(matrix: FloatArray, rows: int) -> list[FloatArray]:
    return [matrix[start : start + rows] for start in range(0, len(matrix), rows)]


def _shape(said: object, wanted: tuple[int, ...], most: int) -> tuple[int, ...] | None:
    """What the process says of its answer, where it can be true."""
    if not isinstance(said, list) or len(said) != len(wanted):  # pyright: ignore[reportUnknownArgumentType]
        return None
    found: list[int] = [one if isinstance(one, int) else -1 for one in said]  # pyright: ignore[reportUnknownVariableType]
    fits = all(one == must or (must == -1 and 1 <= one <= most) for one, must in zip(found, wanted, strict=True))
    return tuple(found) if fits else None
