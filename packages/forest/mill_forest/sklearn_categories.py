"""HistGradientBoosting puts an encoder before its trees: categorical columns first, values as codes in order.

This turns the trees' sets of codes back into sets of the values themselves, so that a forest reads raw rows.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from mill_forest.builder import bitset, whole_numbers
from mill_forest.errors import UnsupportedForest
from mill_forest.model import CategoryRule, Float64, Int32, Uint32

MAX_CODE: Final = 65_536


@dataclass(frozen=True)
class CategoricalColumns:
    """Where the trees' columns come from, and which values the codes of each original feature stand for."""

    original: NDArray[np.int64]
    values: dict[int, Float64]

    @classmethod
    def of(cls, model: Any) -> Self:
        """Raises UnsupportedForest for categories that are not whole numbers below 65,536."""
        mask = model.is_categorical_
        features = int(model.n_features_in_)
        if mask is None:
            return cls(np.arange(features), {})
        mask = np.asarray(mask, bool)
        categorical = np.flatnonzero(mask)
        encoder = model._preprocessor.named_transformers_["encoder"]
        found = zip(categorical.tolist(), encoder.categories_, strict=True)
        values = {feature: _values(categories, feature) for feature, categories in found}
        return cls(np.concatenate([categorical, np.flatnonzero(~mask)]), values)

    def sets(self, nodes: Any, categorical: NDArray[np.bool_], bits: Uint32) -> tuple[Int32, list[Uint32]]:
        """The set of each categorical split of one tree, over values instead of codes."""
        category = np.full(len(categorical), -1, np.int32)
        category[categorical] = np.arange(np.count_nonzero(categorical))
        sets: list[Uint32] = []
        for node in nodes[categorical]:
            codes = np.flatnonzero(np.unpackbits(bits[node["bitset_idx"]].view(np.uint8), bitorder="little"))
            values = self.values[int(self.original[node["feature_idx"]])]
            sets.append(bitset(values[codes[codes < len(values)]].astype(np.int64), MAX_CODE))
        return category, sets

    def fields(self, used: bool) -> dict[str, Any]:
        """The forest's rule and known values, where any split is categorical."""
        if not used:
            return {}
        known = [
            bitset(self.values.get(feature, np.zeros(0)).astype(np.int64), MAX_CODE)
            for feature in range(len(self.original))
        ]
        return {
            "category_rule": CategoryRule.EXACT,
            "known_offsets": np.concatenate([[0], np.cumsum([len(bits) for bits in known])]).astype(np.int32),
            "known_bits": np.concatenate(known),
        }


def _values(categories: Any, feature: int) -> Float64:
    if categories.dtype.kind not in "iuf":
        raise UnsupportedForest(f"the categories of feature {feature} are not numbers")
    values = categories.astype(np.float64)
    values = values[~np.isnan(values)]
    if not whole_numbers(values) or (values >= MAX_CODE).any():
        raise UnsupportedForest(f"the categories of feature {feature} are not whole numbers from 0 to {MAX_CODE - 1}")
    return values
