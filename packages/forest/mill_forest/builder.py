"""Collects trees as the readers find them and lays them out as one forest."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mill_forest.errors import InvalidForest
from mill_forest.model import Float64, Int32, Uint8, Uint32


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One tree with children and leaf rows counted within the tree; leaves have feature -1 and their row in `left`."""

    feature: Int32
    threshold: NDArray[np.floating[Any]]
    left: NDArray[np.integer[Any]]
    right: NDArray[np.integer[Any]]
    flags: Uint8
    leaf_values: NDArray[np.floating[Any]]
    category: Int32 | None = None
    sets: Sequence[Uint32] = field(default_factory=tuple[Uint32, ...])
    cover: NDArray[np.number[Any]] | None = None


def laid_out(trees: Sequence[Tree], dtypes: tuple[str, str]) -> dict[str, Any]:
    """The node, leaf and category arrays of a forest, for Forest(**...); dtypes of thresholds and of leaf values."""
    if not trees:
        raise InvalidForest("a model without trees")
    sizes = [len(tree.feature) for tree in trees]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    leaves = np.concatenate([[0], np.cumsum([len(tree.leaf_values) for tree in trees])])
    if starts[-1] >= 2**31:
        raise InvalidForest("more than 2,147,483,647 nodes")
    with np.errstate(over="ignore"):  # what overflows becomes infinite, which validation judges
        threshold = np.concatenate([tree.threshold for tree in trees]).astype(dtypes[0])
        leaf_values = np.concatenate([tree.leaf_values for tree in trees]).astype(dtypes[1])
    fields: dict[str, Any] = {
        "tree_offsets": starts.astype(np.int32),
        "feature": np.concatenate([tree.feature for tree in trees]).astype(np.int32),
        "threshold": threshold,
        "flags": np.concatenate([tree.flags for tree in trees]).astype(np.uint8),
        "leaf_values": leaf_values,
    }
    shifts = np.repeat(starts[:-1], sizes)
    leaf = fields["feature"] < 0
    left = np.concatenate([tree.left for tree in trees]).astype(np.int64)
    right = np.concatenate([tree.right for tree in trees]).astype(np.int64)
    fields["left"] = _narrow(left + np.where(leaf, np.repeat(leaves[:-1], sizes), shifts))
    fields["right"] = np.where(leaf, np.int32(-1), _narrow(right + shifts))
    return fields | _categories(trees) | _covers(trees)


def without_unreached(tree: Tree) -> Tree:
    """The tree without nodes that its root does not lead to, which XGBoost's pruning leaves in place."""
    split = tree.feature >= 0
    reached = np.zeros(len(split), bool)
    level = np.zeros(1, np.int64)
    while len(level):
        reached[level] = True
        level = level[split[level]]
        level = np.concatenate([tree.left[level], tree.right[level]])
        level = level[(level >= 0) & (level < len(split))]
        level = np.unique(level[~reached[level]])
    number = np.cumsum(reached) - 1
    inside = [np.where((child >= 0) & (child < len(split)), child, 0) for child in (tree.left, tree.right)]
    return replace(
        tree,
        feature=tree.feature[reached],
        threshold=tree.threshold[reached],
        left=np.where(split, number[inside[0]], tree.left)[reached],
        right=np.where(split, number[inside[1]], tree.right)[reached],
        flags=tree.flags[reached],
        category=None if tree.category is None else tree.category[reached],
        cover=None if tree.cover is None else tree.cover[reached],
    )


def _narrow(values: NDArray[np.integer[Any]]) -> Int32:
    """To int32; what does not fit is caught by validation as out of range."""
    return np.clip(values, -(2**31), 2**31 - 1).astype(np.int32)


def _categories(trees: Sequence[Tree]) -> dict[str, Any]:
    sets = [bits for tree in trees for bits in tree.sets]
    if not sets:
        return {}
    category: list[Int32] = []
    before = 0
    for tree in trees:
        numbers = tree.category if tree.category is not None else np.full(len(tree.feature), -1, np.int32)
        category.append(np.where(numbers >= 0, numbers + before, np.int32(-1)).astype(np.int32))
        before += len(tree.sets)
    return {
        "category": np.concatenate(category),
        "category_offsets": np.concatenate([[0], np.cumsum([len(bits) for bits in sets])]).astype(np.int32),
        "category_bits": np.concatenate(sets).astype(np.uint32),
    }


def _covers(trees: Sequence[Tree]) -> dict[str, Any]:
    """The covers in the smallest type that holds them exactly."""
    found = [tree.cover for tree in trees if tree.cover is not None]
    if len(found) < len(trees):
        return {}
    cover = np.concatenate(found).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        single = cover.astype(np.float32)
    return {"cover": single if np.array_equal(single, cover) else cover}


def bitset(codes: NDArray[np.integer[Any]], limit: int) -> Uint32:
    """Category codes, each below `limit`, as bits of 32-bit words."""
    if len(codes) == 0:
        return np.zeros(0, np.uint32)
    if codes.min() < 0 or codes.max() >= limit:
        raise InvalidForest(f"a category code outside 0 … {limit - 1}")
    words = np.zeros(int(codes.max()) // 32 + 1, np.uint32)
    np.bitwise_or.at(words, codes // 32, np.uint32(1) << (codes % 32).astype(np.uint32))
    return words


def whole_numbers(values: Float64) -> bool:
    """Whether every value is a whole number from 0 up."""
    return bool((values >= 0).all() and (values == np.floor(values)).all())
