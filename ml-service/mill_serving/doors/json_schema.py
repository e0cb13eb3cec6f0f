"""The signature of a model as JSON Schema, for clients that generate forms or check rows themselves."""

from datetime import UTC, datetime, timedelta
from typing import Any

from mill_contracts.tables import ColumnKind
from mill_pack import FeatureSpec, Signature

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES: dict[ColumnKind, dict[str, Any]] = {
    ColumnKind.NUMBER: {"type": "number"},
    ColumnKind.INTEGER: {"type": "integer"},
    ColumnKind.BOOLEAN: {"type": "boolean"},
    ColumnKind.STRING: {"type": "string"},
    ColumnKind.DATE: {"type": "string", "format": "date"},
    ColumnKind.TIMESTAMP: {"type": "string", "format": "date-time"},
}


def row_schema(title: str, signature: Signature) -> dict[str, Any]:
    """Categories are examples, not an enum: an unseen one is answered, with a warning."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "additionalProperties": False,
        "required": [feature.name for feature in signature.features if feature.required],
        "properties": {feature.name: _property(feature) for feature in signature.features},
    }


def _property(feature: FeatureSpec) -> dict[str, Any]:
    schema = dict(_TYPES.get(feature.kind, {}))
    if feature.nullable and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    if feature.categories:
        schema["examples"] = list(feature.categories[:20])
    elif feature.minimum is not None and feature.maximum is not None:
        seen = _in_words(feature.kind, feature.minimum, feature.maximum)
        if seen:
            schema["description"] = seen
    return schema


def _in_words(kind: ColumnKind, minimum: float, maximum: float) -> str:
    if kind is ColumnKind.BOOLEAN:
        return ""
    if kind in {ColumnKind.DATE, ColumnKind.TIMESTAMP}:
        try:
            low, high = (_EPOCH + timedelta(milliseconds=moment) for moment in (minimum, maximum))
        except OverflowError:
            return ""
        return f"in training between {low:%Y-%m-%d} and {high:%Y-%m-%d}"
    return f"in training between {minimum:g} and {maximum:g}"
