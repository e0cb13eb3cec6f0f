"""The bodies of the hot routes, as msgspec structs: decoded, encoded and described in OpenAPI from this one place.

Answers hold no cycles, so the garbage collector need not follow them (`gc=False`).
"""

from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from mill_serving.errors import InvalidRequest


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One row: a value per feature of the model's signature, null for missing."""

    input_data: dict[str, Any]
    return_probabilities: bool = True
    use_cache: bool = True


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Rows like `input_data`, answered in the same order."""

    inputs: list[dict[str, Any]]
    return_probabilities: bool = True
    use_cache: bool = True


class PredictMetadata(msgspec.Struct, gc=False):
    model_name: str
    version: int
    model_version_id: str
    low_confidence: bool
    warnings: tuple[str, ...]
    cached: bool
    request_id: str


class PredictAnswer(msgspec.Struct, gc=False):
    """`processing_time` is in milliseconds; `confidence_score` and `probabilities` are null for a regression."""

    model_id: str
    prediction: str | float
    confidence_score: float | None
    probabilities: dict[str, float] | None
    processing_time: float
    timestamp: datetime
    metadata: PredictMetadata


class RowAnswer(msgspec.Struct, gc=False):
    prediction: str | float
    confidence_score: float | None
    probabilities: dict[str, float] | None
    low_confidence: bool


class BatchMetadata(msgspec.Struct, gc=False):
    model_name: str
    version: int
    model_version_id: str
    low_confidence: int
    warnings: tuple[str, ...]
    request_id: str


class BatchAnswer(msgspec.Struct, gc=False):
    """Times are in milliseconds; `metadata.low_confidence` counts rows."""

    model_id: str
    predictions: list[RowAnswer]
    count: int
    total_processing_time: float
    average_time_per_prediction: float
    timestamp: datetime
    metadata: BatchMetadata


Body = TypeVar("Body")

encode = msgspec.json.Encoder().encode
_decode_one = msgspec.json.Decoder(PredictRequest).decode
_decode_batch = msgspec.json.Decoder(BatchRequest).decode


def now() -> datetime:
    return datetime.now(UTC)


def read_request(body: bytes) -> PredictRequest:
    """Raises `InvalidRequest` naming the byte or the member that is wrong."""
    try:
        return _decode_one(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(body, error) from None


def read_batch(body: bytes) -> BatchRequest:
    """Raises `InvalidRequest` naming the byte or the member that is wrong."""
    try:
        return _decode_batch(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(body, error) from None


def decoded(body: bytes, kind: type[Body]) -> Body:
    """For the doors that are not hot. Raises `InvalidRequest` as `read_batch`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(body, error) from None


def _refusal(body: bytes, error: Exception) -> InvalidRequest:
    if not body:
        return InvalidRequest('the body is empty; send JSON such as {"input_data": {"feature": 1.0}}')
    if isinstance(error, msgspec.ValidationError):
        message, _, path = str(error).partition(" - at ")
        return InvalidRequest(message, errors=[{"pointer": _pointer(path), "detail": message}])
    message = "JSON is nested too deeply" if isinstance(error, RecursionError) else str(error)
    if isinstance(error, UnicodeDecodeError):
        message = f"the body is not UTF-8: {error.reason}"
    if _has_no_number(body):
        message += "; NaN and Infinity are not JSON: send null for a missing value"
    return InvalidRequest(message, errors=[{"pointer": "", "detail": message}])


def _pointer(path: str) -> str:
    """`$.inputs[3].x` as the JSON pointer `/inputs/3/x`; members msgspec does not name stay out."""
    parts = path.strip("`").removeprefix("$").replace("[...]", "").replace("[", ".").replace("]", "").split(".")
    return "".join(f"/{part}" for part in parts if part)


def _has_no_number(body: bytes) -> bool:
    return b"NaN" in body or b"Infinity" in body
