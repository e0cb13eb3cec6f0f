"""Predictions as the row answers of JSON and NDJSON: an encoder writes all numbers at once, and they are joined with what never changes."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from mill_pack import Predictions
from mill_rows import join_rows
from numpy.typing import NDArray

from mill_serving.doors.wire import RowAnswer

_encode = msgspec.json.Encoder().encode

Pieces = tuple[bytes, ...]
_COMMA, _LINE = ord(","), ord("\n")


def json_rows(found: Predictions, *, shown: bool) -> bytes:
    """`{…},{…}`, in the order of the rows; `shown`: with probabilities."""
    return _joined(found, _COMMA, shown=shown)


def ndjson_rows(found: Predictions, *, shown: bool) -> bytes:
    return _joined(found, _LINE, shown=shown) + b"\n"


def row_answers(found: Predictions) -> list[RowAnswer]:
    """As objects, without probabilities: for doors that say more of each row."""
    values: list[str] | list[float] = found.values if isinstance(found.values, list) else found.values.tolist()
    low: list[bool] = found.low_confidence.tolist()
    confidence: list[Any] = [None] * len(low) if found.confidence is None else found.confidence.tolist()
    return [RowAnswer(value, sure, None, mark) for value, sure, mark in zip(values, confidence, low, strict=True)]


def _joined(found: Predictions, separator: int, *, shown: bool) -> bytes:
    numbers, winners = _numbers(found)
    heads, between, tails = _pieces(found.labels, shown=shown)
    per_row = max(len(found.labels), 1)
    return join_rows(_encode(numbers), per_row, winners, found.low_confidence, heads, between, tails, separator)


def _numbers(found: Predictions) -> tuple[list[float], NDArray[np.int64]]:
    if found.probabilities is None or found.winners is None:
        values: list[float] = [] if found.numbers is None else found.numbers.tolist()
        return values, np.zeros(len(values), dtype=np.int64)
    return found.probabilities.ravel().tolist(), found.winners


def _pieces(labels: Sequence[str], *, shown: bool) -> tuple[Pieces, Pieces, tuple[bytes, bytes]]:
    """What stands before the winner's number, before each class's number, and at a row's end by its low-confidence mark."""
    if not labels:
        before = b',"confidence_score":null,"probabilities":null'
        return (b'{"prediction":',), (), _tails(before)
    texts = [_encode(label) for label in labels]
    heads = tuple(b'{"prediction":%b,"confidence_score":' % text for text in texts)
    if not shown:
        return heads, (), _tails(b',"probabilities":null')
    between = tuple((b"," if number else b',"probabilities":{') + text + b":" for number, text in enumerate(texts))
    return heads, between, _tails(b"}")


def _tails(before: bytes) -> tuple[bytes, bytes]:
    return before + b',"low_confidence":false}', before + b',"low_confidence":true}'
