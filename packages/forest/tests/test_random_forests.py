"""Forests of every mix of options, grown at random, against the rules written out in plain Python."""

import math
from typing import Any

import numpy as np
import pytest
from mill_forest import (
    Aggregation,
    CategoryRule,
    Compare,
    Forest,
    Library,
    Link,
    Predictor,
    Task,
    from_bytes,
    to_bytes,
)
from mill_forest.builder import Tree, laid_out
from mill_forest.model import DEFAULT_LEFT, ZERO_MISSING
from numpy.typing import NDArray

FEATURES = 5
THRESHOLDS = [-1.5, -0.0, 0.0, 5e-324, 1e-40, 0.5, 1.0, 3.25, 1e30, np.inf]
VALUES = [*THRESHOLDS, -np.inf, np.nan, -1.0, -0.5, 2.0, 2.5, 3.0, 7.0, 31.0, 32.0, 253.0, 254.0, 255.0, 1e9, -5e-324]


def _tree(rng: np.random.Generator, leaves: int, width: int, rule: CategoryRule, sets: int) -> Tree:
    """Splits one leaf after the other; splits stand first, leaves after them."""
    left, right = np.full(leaves - 1, -1), np.full(leaves - 1, -1)
    open_ends: list[tuple[NDArray[Any], int]] = []
    for split in range(leaves - 1):
        if split:
            side, parent = open_ends.pop(int(rng.integers(len(open_ends))))
            side[parent] = split
        open_ends += [(left, split), (right, split)]
    for leaf, (side, parent) in enumerate(open_ends):
        side[parent] = leaves - 1 + leaf
    categorical = (rng.random(leaves - 1) < 0.5) & (rule is not CategoryRule.NONE)
    fill, rows = np.full(leaves, -1), np.arange(leaves)
    flags = rng.integers(0, 4, leaves - 1) & np.where(categorical, DEFAULT_LEFT, 3)
    return Tree(
        feature=np.concatenate([rng.integers(0, FEATURES, leaves - 1), fill]).astype(np.int32),
        threshold=np.concatenate([np.where(categorical, 0.0, rng.choice(THRESHOLDS, leaves - 1)), np.zeros(leaves)]),
        left=np.concatenate([left, rows]),
        right=np.concatenate([right, fill]),
        flags=np.concatenate([flags, np.zeros(leaves)]).astype(np.uint8),
        leaf_values=rng.normal(size=(leaves, width)),
        category=np.concatenate([np.where(categorical, rng.integers(0, sets, leaves - 1), -1), fill]).astype(np.int32),
        sets=[_bits(rng) for _ in range(sets)] if rule is not CategoryRule.NONE else [],
    )


def _bits(rng: np.random.Generator) -> NDArray[np.uint32]:
    words = rng.integers(0, 2**32, int(rng.integers(0, 9)), dtype=np.uint32)
    if len(words) == 8 and rng.random() < 0.7:
        words[7] &= np.uint32(0x3FFFFFFF)  # leaves codes 254 and 255 free
    return words


def _grown(seed: int) -> Forest:
    rng = np.random.default_rng(seed)
    single, mean = bool(rng.integers(2)), bool(rng.integers(2))
    groups = int(rng.integers(1, 4))
    whole_rows = groups > 1 and not single and bool(rng.integers(2))
    rule = list(CategoryRule)[int(rng.integers(len(CategoryRule)))]
    largest = 700 if seed % 4 == 0 else 40
    count = 6
    trees = [
        _tree(rng, int(rng.integers(2, largest)), groups if whole_rows else 1, rule, 1 + int(rng.integers(3)))
        for _ in range(count)
    ]
    fields = laid_out(trees, ("<f4", "<f4") if single else (("<f4", "<f8")[int(rng.integers(2))], "<f8"))
    if rule is CategoryRule.EXACT:
        known = [_bits(rng) for _ in range(FEATURES)]
        fields["known_offsets"] = np.concatenate([[0], np.cumsum([len(b) for b in known])]).astype(np.int32)
        fields["known_bits"] = np.concatenate(known)
    return Forest(
        library=Library.LIGHTGBM if rng.integers(2) and not single else Library.SKLEARN,
        task=Task.REGRESSION if groups == 1 else Task.MULTICLASS,
        link=Link.IDENTITY,
        compare=Compare.LESS if rng.integers(2) else Compare.LESS_EQUAL,
        aggregation=Aggregation.MEAN if mean else Aggregation.SUM,
        category_rule=rule,
        n_features=FEATURES,
        n_groups=groups,
        base=rng.normal(size=groups).astype(np.float32).astype(np.float64),
        tree_group=np.zeros(count, np.int32) if whole_rows else np.arange(count, dtype=np.int32) % groups,
        **fields,
    )


def _has(bits: NDArray[Any], offsets: NDArray[Any], which: int, code: int) -> bool:
    words = bits[offsets[which] : offsets[which + 1]]
    return code // 32 < len(words) and bool(int(words[code // 32]) >> (code % 32) & 1)


def _set_goes_left(forest: Forest, node: int, x: float) -> bool:
    missing = bool(forest.flags[node] & DEFAULT_LEFT)
    exact = forest.category_rule is CategoryRule.EXACT
    if math.isnan(x):
        return missing
    lowest_fails = x <= -1 if forest.category_rule is CategoryRule.SIGNED else x < 0
    if lowest_fails or x >= (2**24 if forest.category_rule is CategoryRule.UNSIGNED else 2**31):
        return exact and missing
    code = int(x)
    if exact and (code != x or not _has(forest.known_bits, forest.known_offsets, int(forest.feature[node]), code)):
        return missing
    return _has(forest.category_bits, forest.category_offsets, int(forest.category[node]), code)


def _goes_left(forest: Forest, node: int, x: float) -> bool:
    if len(forest.category) and forest.category[node] >= 0:
        return _set_goes_left(forest, node, x)
    flags, threshold = int(forest.flags[node]), float(forest.threshold[node])
    if forest.library is Library.LIGHTGBM and abs(x) <= float(np.float32(1e-35)):
        x = 0.0
    if math.isnan(x) or (flags & ZERO_MISSING and x == 0):
        return bool(flags & DEFAULT_LEFT)
    return x < threshold if forest.compare is Compare.LESS else x <= threshold


def _margins(forest: Forest, row: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = forest.base.astype(forest.leaf_values.dtype)
    for tree in range(forest.n_trees):
        node = int(forest.tree_offsets[tree])
        while forest.feature[node] >= 0:
            with np.errstate(over="ignore"):
                x = float(row[forest.feature[node]].astype(forest.threshold.dtype))
            node = int((forest.left if _goes_left(forest, node, x) else forest.right)[node])
        values = forest.leaf_values[forest.left[node]]
        if len(values) > 1:
            sums += values
        else:
            sums[forest.tree_group[tree]] += values[0]
    margins = sums.astype(np.float64)
    return margins / forest.trees_per_margin if forest.aggregation is Aggregation.MEAN else margins


@pytest.mark.parametrize("seed", range(40))
def test_a_random_forest_follows_its_rules_in_every_layout(seed: int) -> None:
    forest = from_bytes(to_bytes(_grown(seed)))
    rows = np.random.default_rng(seed).choice(VALUES, size=(150, FEATURES))
    expected = np.array([_margins(forest, row) for row in rows])
    for layout in ("walk", "lockstep", "phased", "blend"):
        for avx2 in (True, False):
            predictor = Predictor(forest, layout=layout, avx2=avx2)
            assert np.array_equal(predictor.raw(rows), expected), predictor.layout
        assert np.array_equal(np.array([predictor.predict_one(row) for row in rows]), predictor.predict(rows))


def test_the_random_forests_reach_every_layout_of_small_trees() -> None:
    assert {Predictor(_grown(seed)).layout for seed in range(40)} == {"walk", "lockstep", "blend"}
