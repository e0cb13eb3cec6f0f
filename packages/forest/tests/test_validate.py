"""A forest is safe to walk, or it is refused with what is wrong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from mill_forest import (
    Aggregation,
    CategoryRule,
    Compare,
    Forest,
    InvalidForest,
    Library,
    Link,
    Predictor,
    Task,
    validate,
)


def _forest(**changes: Any) -> Forest:
    """Two trees: one split on feature 0, and one split on feature 1 with a category set below it."""
    fields: dict[str, Any] = {
        "library": Library.LIGHTGBM,
        "task": Task.REGRESSION,
        "link": Link.IDENTITY,
        "compare": Compare.LESS_EQUAL,
        "aggregation": Aggregation.SUM,
        "category_rule": CategoryRule.SIGNED,
        "n_features": 2,
        "n_groups": 1,
        "base": np.zeros(1),
        "tree_offsets": np.array([0, 3, 8], np.int32),
        "tree_group": np.array([0, 0], np.int32),
        "feature": np.array([0, -1, -1, 1, -1, 0, -1, -1], np.int32),
        "threshold": np.array([0.5, 0, 0, 1.5, 0, 0, 0, 0]),
        "left": np.array([1, 0, 1, 4, 2, 6, 3, 4], np.int32),
        "right": np.array([2, -1, -1, 5, -1, 7, -1, -1], np.int32),
        "flags": np.array([1, 0, 0, 0, 0, 0, 0, 0], np.uint8),
        "leaf_values": np.arange(5.0).reshape(-1, 1),
        "category": np.array([-1, -1, -1, -1, -1, 0, -1, -1], np.int32),
        "category_offsets": np.array([0, 1], np.int32),
        "category_bits": np.array([0b100], np.uint32),
        "cover": np.array([4.0, 1, 3, 4, 2, 2, 1, 1]),
    }
    return Forest(**(fields | changes))


def test_a_sound_forest_passes_and_predicts() -> None:
    forest = validate(_forest())
    rows = np.array([[0.0, 0.0], [2.0, 9.0], [3.0, 9.0], [np.nan, np.nan]])
    assert Predictor(forest).predict(rows)[:, 0].tolist() == [2.0, 4.0, 5.0, 4.0]


def _item(name: str, at: int, value: Any) -> Callable[[Forest], Forest]:
    def change(forest: Forest) -> Forest:
        array = getattr(forest, name).copy()
        array[at] = value
        return replace(forest, **{name: array})

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_item("left", 0, -1), "left child"),
        (_item("left", 0, 0), "left child"),
        (_item("left", 0, 3), "left child"),
        (_item("right", 0, 8), "right child"),
        (_item("right", 3, 1), "right child"),
        (_item("right", 0, 1), "exactly one parent"),
        (_item("right", 1, 2), "leaf with a child"),
        (_item("left", 1, 5), "leaf without values"),
        (_item("left", 1, -1), "leaf without values"),
        (_item("feature", 0, 2), "feature out of range"),
        (_item("feature", 0, -2), "feature out of range"),
        (_item("feature", 1, 0), "left child"),
        (_item("threshold", 0, np.nan), "not a number"),
        (_item("flags", 0, 4), "flag"),
        (_item("leaf_values", 0, np.nan), "not finite"),
        (_item("leaf_values", 0, np.inf), "not finite"),
        (_item("base", 0, np.nan), "base"),
        (_item("tree_offsets", 1, 4), "child"),
        (_item("tree_offsets", 1, 0), "empty tree"),
        (_item("tree_offsets", 2, 9), "tree_offsets"),
        (_item("tree_group", 0, 1), "margin"),
        (_item("tree_group", 0, -1), "margin"),
        (_item("category", 5, 1), "category set"),
        (_item("category", 1, 0), "leaf with a category"),
        (_item("category_offsets", 1, 2), "category_offsets"),
        (_item("cover", 1, 0), "cover"),
        (_item("cover", 1, -1), "cover"),
        (_item("cover", 0, np.nan), "cover"),
        (_item("cover", 0, np.inf), "cover"),
        (_item("cover", 6, 2.1), "cover"),
    ],
)
def test_a_wrong_value_is_named(change: Callable[[Forest], Forest], says: str) -> None:
    with pytest.raises(InvalidForest, match=says):
        validate(change(_forest()))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"n_features": 0}, "features"),
        ({"n_features": 1}, "feature out of range"),
        ({"n_groups": 3}, "base"),
        ({"task": Task.MULTICLASS}, "multiclass"),
        ({"link": Link.SOFTMAX, "task": Task.BINARY}, "margins"),
        ({"link_scale": float("nan")}, "link_scale"),
        ({"category_rule": CategoryRule.NONE}, "without a rule"),
        ({"category_rule": CategoryRule.EXACT}, "known_offsets"),
        ({"feature": np.zeros(8, np.int64)}, "dtype"),
        ({"leaf_values": np.zeros(5)}, "dimensions"),
        ({"leaf_values": np.zeros((5, 2))}, "2 values"),
        ({"leaf_values": np.zeros((5, 1), np.float32)}, "float32 sums"),
        ({"threshold": np.zeros(16)[::2]}, "contiguous"),
        ({"flags": np.zeros(7, np.uint8)}, "length"),
        ({"cover": np.ones(7)}, "length"),
        ({"cover": np.ones(8, np.int32)}, "dtype"),
        ({"tree_group": np.zeros(0, np.int32)}, "no trees"),
        ({"compare": Compare.LESS, "threshold": np.array([-np.inf, 0, 0, 0, 0, 0, 0, 0])}, "minus infinity"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidForest, match=says):
        validate(_forest(**fields))


def test_a_cycle_that_no_root_reaches_is_refused() -> None:
    forest = _forest(
        category_rule=CategoryRule.NONE,
        category=np.zeros(0, np.int32),
        cover=np.zeros(0),
        category_offsets=np.zeros(0, np.int32),
        category_bits=np.zeros(0, np.uint32),
        feature=np.array([-1, 0, 0, -1, -1], np.int32),
        left=np.array([0, 2, 1, 1, 2], np.int32),
        right=np.array([-1, 3, 4, -1, -1], np.int32),
        threshold=np.zeros(5),
        flags=np.zeros(5, np.uint8),
        tree_offsets=np.array([0, 5], np.int32),
        tree_group=np.zeros(1, np.int32),
    )
    with pytest.raises(InvalidForest, match="cycle"):
        validate(forest)


def test_a_predictor_refuses_an_unsound_forest() -> None:
    with pytest.raises(InvalidForest, match="child"):
        Predictor(_item("left", 0, 10**9)(_forest()))


def test_a_tree_of_absurd_depth_is_refused() -> None:
    depth = 10_050
    split = np.arange(depth)
    nodes = 2 * depth + 1
    feature = np.full(nodes, -1, np.int32)
    feature[2 * split] = 0
    left, right = np.arange(nodes, dtype=np.int32) // 2, np.full(nodes, -1, np.int32)
    left[2 * split], right[2 * split] = 2 * split + 1, 2 * split + 2
    forest = _forest(
        category_rule=CategoryRule.NONE,
        category=np.zeros(0, np.int32),
        cover=np.zeros(0),
        category_offsets=np.zeros(0, np.int32),
        category_bits=np.zeros(0, np.uint32),
        feature=feature,
        left=left,
        right=right,
        threshold=np.zeros(nodes),
        flags=np.zeros(nodes, np.uint8),
        leaf_values=np.zeros((depth + 1, 1)),
        tree_offsets=np.array([0, nodes], np.int32),
        tree_group=np.zeros(1, np.int32),
    )
    with pytest.raises(InvalidForest, match="deeper"):
        validate(forest)
