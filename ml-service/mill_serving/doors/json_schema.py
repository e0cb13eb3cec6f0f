"""The signature of a model as JSON Schema, for clients that generate forms or check rows themselves."""

from typing import Any

from mill_contracts.tables import ColumnKind
from mill_pack import FeatureSpec, Signature

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
        schema["description"] = f"in training between {feature.minimum:g} and {feature.maximum:g}"
    return schema
