"""Proves that a forest's arrays are safe to walk and mean something; run by every reader, loader and predictor.

The native kernel trusts what has passed here: no index is checked again. This is what makes a file from outside safe.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from mill_forest.errors import InvalidForest
from mill_forest.model import (
    ARRAYS,
    DEFAULT_LEFT,
    ZERO_MISSING,
    Aggregation,
    CategoryRule,
    Compare,
    Forest,
    Int32,
    Library,
    Link,
    Task,
    Uint32,
    arrays_of,
)

MAX_FEATURES: Final = 1_000_000
MAX_GROUPS: Final = 10_000
MAX_NODES: Final = 2**30
MAX_DEPTH: Final = 10_000
MOST_OF_PARENT: Final = 1.01


def validate(forest: Forest) -> Forest:
    """Return the forest, or raise InvalidForest naming the first thing that is wrong with it."""
    _check_layout(forest)
    _check_meaning(forest)
    _check_trees(forest)
    _check_nodes(forest)
    _check_leaves(forest)
    _check_categories(forest)
    _check_shape_of_trees(forest)
    _require(not len(forest.cover) or sound_cover(forest), "a cover that is not a share of its parent's")
    return forest


def validate_read(forest: Forest) -> Forest:
    """As `validate`, for readers of the libraries' models: covers that make no sense are left out, not refused."""
    bare = validate(replace(forest, cover=forest.cover[:0]))
    return forest if len(forest.cover) == len(forest.feature) and sound_cover(forest) else bare


def _require(condition: bool | np.bool_, problem: str) -> None:
    if not condition:
        raise InvalidForest(problem)


def _check_layout(forest: Forest) -> None:
    for name, array in arrays_of(forest).items():
        _require(array.dtype.str in ARRAYS[name], f"{name} has dtype {array.dtype.str}")
        _require(array.ndim == (2 if name == "leaf_values" else 1), f"{name} has {array.ndim} dimensions")
        _require(array.flags.c_contiguous, f"{name} is not contiguous")
    nodes = len(forest.feature)
    _require(0 < nodes <= MAX_NODES, f"{nodes} nodes")
    for name in ("threshold", "left", "right", "flags"):
        _require(len(getattr(forest, name)) == nodes, f"{name} and feature differ in length")
    for name in ("category", "cover"):
        _require(len(getattr(forest, name)) in (0, nodes), f"{name} and feature differ in length")
    _require(0 < forest.n_features <= MAX_FEATURES, f"{forest.n_features} features")
    _require(0 < forest.n_groups <= MAX_GROUPS, f"{forest.n_groups} margins")


def _check_meaning(forest: Forest) -> None:
    groups, width = forest.n_groups, forest.leaf_values.shape[1]
    _require(width in (1, groups), f"leaves hold {width} values for {groups} margins")
    _require(len(forest.base) == groups, "base and margins differ in number")
    _require(np.isfinite(forest.base).all(), "base is not finite")
    _require(0 < forest.link_scale < np.inf, "link_scale is not a positive number")
    softmax = forest.link in (Link.SOFTMAX, Link.SOFTMAX_PAIRWISE)
    two_columns = (groups == 1 and not softmax) or groups == 2
    allowed = {Task.BINARY: two_columns, Task.MULTICLASS: groups > 1, Task.REGRESSION: groups == 1}
    _require(allowed[forest.task], f"{forest.task} with {groups} margins")
    _require(not softmax or groups > 1, "softmax of a single margin")
    numpy_softmax = forest.link is Link.SOFTMAX_PAIRWISE
    _require(not numpy_softmax or forest.library is Library.SKLEARN, f"{forest.link} of {forest.library}")
    single_sum = forest.leaf_values.dtype.itemsize == 4
    _require(not single_sum or forest.threshold.dtype.itemsize == 4, "float32 sums over float64 thresholds")
    _require(
        not single_sum or forest.link in (Link.IDENTITY, Link.SIGMOID, Link.SOFTMAX, Link.EXP),
        f"link {forest.link} in float32",
    )
    _require(not single_sum or width == 1, "float32 sums of whole rows")


def _check_trees(forest: Forest) -> None:
    offsets, nodes, trees = forest.tree_offsets, len(forest.feature), forest.n_trees
    _require(trees > 0, "no trees")
    _require(len(offsets) == trees + 1, "tree_offsets and tree_group differ in length")
    _require(offsets[0] == 0 and offsets[-1] == nodes, "tree_offsets do not cover the nodes")
    _require((offsets[1:] > offsets[:-1]).all(), "an empty tree, or tree_offsets out of order")
    inside = (forest.tree_group >= 0) & (forest.tree_group < forest.n_groups)
    _require(inside.all(), "a tree adds to a margin that does not exist")
    whole_rows = forest.leaf_values.shape[1] > 1
    _require(not (whole_rows and forest.tree_group.any()), "tree_group must be 0 where leaves hold whole rows")
    divides = whole_rows or trees % forest.n_groups == 0
    _require(forest.aggregation is Aggregation.SUM or divides, "a mean over unequal numbers of trees")


def _check_nodes(forest: Forest) -> None:
    feature, split = forest.feature, forest.feature >= 0
    _require((feature >= -1).all() and (feature < forest.n_features).all(), "a feature out of range")
    _require((forest.flags <= DEFAULT_LEFT | ZERO_MISSING).all(), "an unknown flag")
    sizes = np.diff(forest.tree_offsets)
    first = np.repeat(forest.tree_offsets[:-1], sizes)[split]
    end = np.repeat(forest.tree_offsets[1:], sizes)[split]
    for name, child in (("left", forest.left[split]), ("right", forest.right[split])):
        _require(((child > first) & (child < end)).all(), f"a {name} child outside its tree")
    numeric = split if not len(forest.category) else split & (forest.category < 0)
    threshold = forest.threshold[numeric]
    _require(not np.isnan(threshold).any(), "a threshold that is not a number")
    if forest.compare is Compare.LESS:
        _require(not np.isneginf(threshold).any(), "a split below minus infinity")


def _check_leaves(forest: Forest) -> None:
    leaf = forest.feature < 0
    rows = forest.left[leaf]
    _require(((rows >= 0) & (rows < len(forest.leaf_values))).all(), "a leaf without values")
    _require((forest.right[leaf] == -1).all(), "a leaf with a child")
    _require(np.isfinite(forest.leaf_values).all(), "a leaf value that is not finite")


def _check_sets(name: str, offsets: Int32, bits: Uint32) -> None:
    _require(len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == len(bits), f"{name} do not cover their bits")
    _require((offsets[1:] >= offsets[:-1]).all(), f"{name} out of order")


def _check_categories(forest: Forest) -> None:
    if forest.category_rule is CategoryRule.NONE:
        unused = (forest.category, forest.category_offsets, forest.category_bits)
        _require(not any(len(array) for array in unused), "categories without a rule")
    else:
        _check_sets("category_offsets", forest.category_offsets, forest.category_bits)
        _require(len(forest.category) == len(forest.feature), "a category rule without categories")
        sets, category = len(forest.category_offsets) - 1, forest.category
        _require((category >= -1).all() and (category < sets).all(), "a category set out of range")
        _require(not ((category >= 0) & (forest.feature < 0)).any(), "a leaf with a category set")
    if forest.category_rule is CategoryRule.EXACT:
        _check_sets("known_offsets", forest.known_offsets, forest.known_bits)
        _require(len(forest.known_offsets) == forest.n_features + 1, "known_offsets do not match the features")
    else:
        _require(not len(forest.known_offsets) and not len(forest.known_bits), "known codes without their rule")


def _check_shape_of_trees(forest: Forest) -> None:
    """Every node but the roots has exactly one parent, and every node is reached: hence no cycle."""
    split = forest.feature >= 0
    parents = np.bincount(np.concatenate([forest.left[split], forest.right[split]]), minlength=len(forest.feature))
    expected = np.ones(len(forest.feature), np.int64)
    expected[forest.tree_offsets[:-1]] = 0
    _require(np.array_equal(parents, expected), "a node without exactly one parent")
    level: Int32 = forest.tree_offsets[:-1]
    reached = 0
    for _ in range(MAX_DEPTH):
        reached += len(level)
        level = level[split[level]]
        if not len(level):
            break
        level = np.concatenate([forest.left[level], forest.right[level]])
    _require(not len(level), f"a tree deeper than {MAX_DEPTH}")
    _require(reached == len(forest.feature), "a cycle of nodes that no root reaches")


def sound_cover(forest: Forest) -> bool:
    """Whether each node's cover is a positive share of its parent's (sums in float32 may exceed it by a trifle)."""
    cover, split = forest.cover.astype(np.float64), forest.feature >= 0
    if not ((cover > 0) & (cover < np.inf)).all():
        return False
    most = cover[split] * MOST_OF_PARENT
    return bool((cover[forest.left[split]] <= most).all() and (cover[forest.right[split]] <= most).all())
