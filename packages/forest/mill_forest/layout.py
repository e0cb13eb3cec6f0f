"""Rewrites a forest for the native kernel: every comparison as "<=", every rule for missing values as a column.

Called by the predictor once per forest.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mill_forest.model import (
    Aggregation,
    CategoryRule,
    Compare,
    Float64,
    Forest,
    Int32,
    Library,
    Link,
    Task,
    Uint8,
)

Mask = NDArray[np.bool_]

NODE: Final = np.dtype(
    [
        ("threshold", "<f8"),
        ("left", "<i4"),
        ("right", "<i4"),
        ("column", "<i4"),
        ("category", "<i4"),
        ("rule", "<u4"),
        ("codes", "<i4"),
    ]
)
"""The kernel's `Node`, field by field."""

_LINKS: Final = {
    Link.IDENTITY: 0,
    Link.SIGMOID: 1,
    Link.SOFTMAX: 2,
    Link.SOFTMAX_PAIRWISE: 2,
    Link.EXP: 3,
    Link.SQUARE: 4,
    Link.LOG1P_EXP: 5,
}
_RULES: Final = {
    CategoryRule.NONE: 0,
    CategoryRule.SIGNED: 1,
    CategoryRule.UNSIGNED: 2,
    CategoryRule.EXACT: 3,
}
_CODES: Final = 4
"""The kernel's CATEGORY_COLUMN."""
LAYOUTS: Final = {"walk": 0, "lockstep": 1, "phased": 2, "blend": 3}
"""What a kernel may choose at best; every layout but walk and blend also exists without crowns."""


def kernel_options(
    forest: Forest, layout: str, *, numpy_link: bool = False, avx2: bool = True, crowned: bool = True
) -> dict[str, int]:
    """The whole numbers the kernel is built from; `layout` is the best one it may choose."""
    mean = forest.aggregation is Aggregation.MEAN
    return {
        "n_features": forest.n_features,
        "n_groups": forest.n_groups,
        "n_outputs": forest.n_outputs,
        "width": forest.leaf_values.shape[1],
        "single_input": forest.threshold.dtype.itemsize == 4,
        "single_sum": forest.leaf_values.dtype.itemsize == 4,
        "flush_tiny": forest.library is Library.LIGHTGBM,
        "link": _LINKS[Link.IDENTITY if numpy_link else forest.link],
        "category_rule": _RULES[forest.category_rule],
        "binary": forest.task is Task.BINARY,
        "divisor": forest.trees_per_margin if mean else 1,
        "layout": LAYOUTS[layout],
        "use_avx2": avx2,
        "crowned": crowned,
    }


def kernel_arrays(forest: Forest) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays the kernel copies."""
    split = forest.feature >= 0
    category = forest.category if len(forest.category) else np.full(len(split), -1, np.int32)
    numeric = split & (category < 0)
    threshold = _less_equal_thresholds(forest, numeric)
    column, feature_of, rule_of = _columns(forest, split, numeric)
    nodes = np.zeros(len(split), NODE)
    nodes["threshold"], nodes["left"], nodes["right"] = threshold, forest.left, forest.right
    nodes["category"], nodes["rule"] = category, forest.flags
    nodes["column"] = np.where(numeric, column, forest.feature)
    nodes["codes"] = column
    binned = numeric if _may_blend(forest) else np.zeros_like(numeric)
    bins, bin_offsets, node_bin = _bins(column, threshold, binned, len(feature_of))
    return {
        "tree_offsets": forest.tree_offsets,
        "tree_group": forest.tree_group,
        "base": forest.base,
        "leaf_values": forest.leaf_values.astype(np.float64),
        "column_rule": rule_of,
        "column_feature": feature_of,
        "nodes": nodes,
        "category_offsets": forest.category_offsets,
        "category_bits": forest.category_bits,
        "known_offsets": forest.known_offsets,
        "known_bits": forest.known_bits,
        "bins": bins,
        "bin_offsets": bin_offsets,
        "node_bin": node_bin,
    }


def _may_blend(forest: Forest) -> bool:
    """Whether bins are worth computing: the kernel blends only trees of up to 256 leaves of one value each."""
    return forest.leaf_values.shape[1] == 1 and int(np.diff(forest.tree_offsets).max()) < 512


def _less_equal_thresholds(forest: Forest, numeric: Mask) -> Float64:
    """x < t holds for the same floats as x <= the float before t."""
    threshold = np.where(numeric, forest.threshold, forest.threshold.dtype.type(0))
    if forest.compare is Compare.LESS:
        threshold = np.nextafter(threshold, forest.threshold.dtype.type(-np.inf))
    return threshold.astype(np.float64)


def _columns(forest: Forest, split: Mask, numeric: Mask) -> tuple[Int32, Int32, Uint8]:
    """Number what splits look at: a feature with a rule for missing values, or a feature's category codes."""
    rule = np.where(numeric, forest.flags, _CODES).astype(np.int64)
    used, index = np.unique(forest.feature[split].astype(np.int64) * 8 + rule[split], return_inverse=True)
    column = np.full(len(numeric), -1, np.int32)
    column[split] = index
    return column, (used // 8).astype(np.int32), (used % 8).astype(np.uint8)


def _bins(column: Int32, threshold: Float64, numeric: Mask, n_columns: int) -> tuple[Float64, Int32, Int32]:
    """Each column's distinct thresholds in order, and every split's place among them."""
    where = np.flatnonzero(numeric)
    where = where[np.lexsort((threshold[where], column[where]))]
    columns, values = column[where], threshold[where]
    fresh = np.ones(len(where), bool)
    fresh[1:] = (columns[1:] != columns[:-1]) | (values[1:] != values[:-1])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(columns[fresh], minlength=n_columns))]).astype(np.int32)
    node_bin = np.zeros(len(column), np.int32)
    node_bin[where] = np.cumsum(fresh) - 1 - offsets[columns]
    return values[fresh], offsets, node_bin
