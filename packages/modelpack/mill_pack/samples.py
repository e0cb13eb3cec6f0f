"""Golden rows and the reference profile: what the trainer takes from the training data into the package."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from mill_contracts.tables import ColumnKind

from mill_pack.arrays import Columns
from mill_pack.encoding import Encoder
from mill_pack.manifest import FeatureReference, JsonValue
from mill_pack.signature import FeatureSpec

GOLDEN_ROWS = 20
REFERENCE_BINS = 10
REFERENCE_CATEGORIES = 50

Row = dict[str, JsonValue]


def golden_rows(encoder: Encoder, columns: Columns, limit: int = GOLDEN_ROWS) -> list[Row]:
    """Rows spread over the table, as a client would send them; up to five of them have missing values where any row has."""
    features = encoder.signature_features
    rows = len(columns[features[0].name])
    missing = np.zeros(rows, dtype=np.bool_)
    for feature in features:
        values = columns[feature.name]
        missing |= np.array([value is None or value != value for value in values.tolist()], dtype=np.bool_)
    with_missing = np.flatnonzero(missing)[:5].tolist()
    spread = np.linspace(0, rows - 1, num=min(rows, limit - len(with_missing))).astype(np.int64).tolist()
    chosen = sorted({*with_missing, *spread}) if rows else []
    return [{feature.name: to_json(feature, columns[feature.name][row]) for feature in features} for row in chosen]


def synthetic_golden_rows(features: Sequence[FeatureSpec], seed: int, count: int = GOLDEN_ROWS) -> list[Row]:
    """Rows made up from the signature, for data marked as sensitive: no row of the table stands in the package."""
    random = np.random.default_rng(seed)
    return [{feature.name: _made_up(feature, random) for feature in features} for _ in range(count)]


def reference_profile(encoder: Encoder, columns: Columns) -> tuple[FeatureReference, ...]:
    return tuple(_reference(feature, columns) for feature in encoder.signature_features)


def to_json(feature: FeatureSpec, value: object) -> JsonValue:
    """A cell of a column as the JSON value a client would send for it; NaN and None are null."""
    if value is None or value != value:
        return None
    if feature.kind is ColumnKind.STRING:
        return str(value)
    number = float(value)  # pyright: ignore[reportArgumentType] - every other column is float64
    match feature.kind:
        case ColumnKind.BOOLEAN:
            return number != 0.0
        case ColumnKind.INTEGER:
            return int(number)
        case ColumnKind.DATE | ColumnKind.TIMESTAMP:
            return _moment(number)
        case _:
            return number


def _moment(milliseconds: float) -> JsonValue:
    """ISO 8601 where the calendar reaches, else the number itself; both are taken."""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return milliseconds
    whole = milliseconds.is_integer() and round(moment.timestamp() * 1000) == milliseconds
    return moment.isoformat(timespec="milliseconds") if whole else milliseconds


def _made_up(feature: FeatureSpec, random: np.random.Generator) -> JsonValue:
    if feature.nullable and random.random() < 0.1:
        return None
    if feature.kind is ColumnKind.STRING:
        return str(random.choice(np.array(feature.categories))) if feature.categories else "unknown"
    if feature.kind is ColumnKind.BOOLEAN:
        return bool(random.random() < 0.5)
    low = feature.minimum or 0.0
    value = low + random.random() * ((feature.maximum or low) - low)
    return to_json(feature, value if feature.kind is ColumnKind.NUMBER else float(math.floor(value)))


def _reference(feature: FeatureSpec, columns: Columns) -> FeatureReference:
    values = columns[feature.name]
    if feature.kind is ColumnKind.STRING:
        counts = Counter(value for value in values.tolist() if value is not None)
        most = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:REFERENCE_CATEGORIES])
        missing = len(values) - sum(counts.values())
        return FeatureReference(name=feature.name, rows=len(values), missing=missing, categories=most)
    present = values[~np.isnan(values)]
    missing = len(values) - len(present)
    if not present.size:
        return FeatureReference(name=feature.name, rows=len(values), missing=missing)
    edges = np.unique(np.quantile(present, np.linspace(0.0, 1.0, REFERENCE_BINS + 1)))
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0]])
        histogram = [int(present.size)]
    else:
        histogram = [int(count) for count in np.histogram(present, bins=edges)[0]]
    return FeatureReference(
        name=feature.name,
        rows=len(values),
        missing=missing,
        edges=tuple(float(edge) for edge in edges),
        counts=tuple(histogram),
    )
