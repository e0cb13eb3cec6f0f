"""Predictions as the row answers of JSON and NDJSON."""

from mill_pack import Predictions

from mill_serving.doors.wire import RowAnswer


def row_answers(found: Predictions, *, shown: bool) -> list[RowAnswer]:
    """In the order of the rows; `shown`: with probabilities."""
    values: list[str] | list[float] = found.values if isinstance(found.values, list) else found.values.tolist()
    low: list[bool] = found.low_confidence.tolist()
    if found.confidence is None or found.probabilities is None:
        return [RowAnswer(value, None, None, mark) for value, mark in zip(values, low, strict=True)]
    confidence: list[float] = found.confidence.tolist()
    if not shown:
        return [RowAnswer(*row[:2], None, row[2]) for row in zip(values, confidence, low, strict=True)]
    tables = (dict(zip(found.labels, row, strict=True)) for row in found.probabilities.tolist())
    return list(map(RowAnswer, values, confidence, tables, low))
