"""Rows at the borders of what training saw and beyond, on which the serving engine is compared with the library."""

import numpy as np
from mill_contracts.tables import ColumnKind
from mill_pack import Encoder, FeatureSpec

from mill_trainer.train.table import Column, Table

UNSEEN = "\N{REPLACEMENT CHARACTER} never seen in training"


def edge_columns(table: Table, encoder: Encoder) -> dict[str, Column]:
    """Eight rows: missing, smallest, largest, an ordinary value, a hair past both ends, zero, minus zero; unseen strings."""
    return {spec.name: _edges(spec, table.columns[spec.name]) for spec in encoder.signature_features}


def _edges(spec: FeatureSpec, column: Column) -> Column:
    if spec.kind is ColumnKind.STRING:
        known = spec.categories or (UNSEEN,)
        missing = None if spec.nullable else known[0]
        texts: list[str | None] = [missing, known[0], known[-1], known[len(known) // 2], UNSEEN, "", known[0], missing]
        return np.array(texts, dtype=object)
    low, high = spec.minimum or 0.0, spec.maximum or 0.0
    ordinary = float(column[len(column) // 2])
    numbers = [
        np.nan if spec.nullable else low,
        low,
        high,
        low if np.isnan(ordinary) else ordinary,
        np.nextafter(low, -np.inf),
        np.nextafter(high, np.inf),
        0.0,
        -0.0,
    ]
    return np.array(numbers)
