"""Forests of every mix of options, grown at random, against the rules written out in plain Python."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from mill_forest import Aggregation, CategoryRule, Forest, Predictor, from_bytes, to_bytes
from numpy.typing import NDArray

Grown = Callable[..., Forest]
NextNode = Callable[[Forest, int, NDArray[np.float64]], int]


def _margins(forest: Forest, row: NDArray[np.float64], next_node: NextNode) -> NDArray[np.float64]:
    sums = forest.base.astype(forest.leaf_values.dtype)
    for tree in range(forest.n_trees):
        node = int(forest.tree_offsets[tree])
        while forest.feature[node] >= 0:
            node = next_node(forest, node, row)
        values = forest.leaf_values[forest.left[node]]
        if len(values) > 1:
            sums += values
        else:
            sums[forest.tree_group[tree]] += values[0]
    margins = sums.astype(np.float64)
    return margins / forest.trees_per_margin if forest.aggregation is Aggregation.MEAN else margins


@pytest.mark.parametrize("seed", range(40))
def test_a_random_forest_follows_its_rules_in_every_layout(
    seed: int, grown: Grown, next_node: NextNode, odd_values: list[float]
) -> None:
    forest = from_bytes(to_bytes(grown(seed)))
    rows = np.random.default_rng(seed).choice(odd_values, size=(150, forest.n_features))
    expected = np.array([_margins(forest, row, next_node) for row in rows])
    for layout in ("walk", "lockstep", "phased", "blend"):
        for quick in (True, False):
            predictor = Predictor(forest, layout=layout, avx2=quick, crowned=quick)
            assert np.array_equal(predictor.raw(rows), expected), predictor.layout
        assert np.array_equal(np.array([predictor.predict_one(row) for row in rows]), predictor.predict(rows))


def test_deep_random_forests_follow_their_rules_in_phases(
    grown: Grown, next_node: NextNode, odd_values: list[float]
) -> None:
    numeric = [seed for seed in range(40) if grown(seed, 4).category_rule is CategoryRule.NONE][:8]
    layouts: set[str] = set()
    for seed in numeric:
        forest = grown(seed, 9_000)
        rows = np.random.default_rng(seed).choice(odd_values, size=(60, forest.n_features))
        expected = np.array([_margins(forest, row, next_node) for row in rows])
        for layout, crowned in itertools.product(("walk", "lockstep", "phased"), (True, False)):
            predictor = Predictor(forest, layout=layout, crowned=crowned)
            layouts.add(predictor.layout)
            assert np.array_equal(predictor.raw(rows), expected), predictor.layout
        chosen = Predictor(forest)
        assert np.array_equal(np.array([chosen.predict_one(row) for row in rows]), chosen.predict(rows))
    assert layouts == {"walk", "lockstep", "phased"}


def test_the_random_forests_reach_every_layout_of_small_trees(grown: Grown) -> None:
    assert {Predictor(grown(seed)).layout for seed in range(40)} == {"walk", "lockstep", "blend"}
