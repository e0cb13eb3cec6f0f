"""Reads the text LightGBM 4 saves; only the text holds the thresholds exactly (its JSON dump clips them)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mill_forest.builder import Tree, laid_out
from mill_forest.errors import InvalidForest, UnsupportedForest
from mill_forest.model import (
    DEFAULT_LEFT,
    ZERO_MISSING,
    Aggregation,
    CategoryRule,
    Compare,
    Forest,
    Library,
    Link,
    Task,
    Uint32,
)
from mill_forest.tree_fields import whole
from mill_forest.validate import validate_read

_CATEGORICAL: Final = 1
_DEFAULT_LEFT: Final = 2
_MISSING_NONE, _MISSING_ZERO, _MISSING_NAN = range(3)
_REGRESSIONS: Final = {
    **dict.fromkeys(("regression", "regression_l1", "huber", "fair", "quantile", "mape"), Link.IDENTITY),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), Link.EXP),
    "cross_entropy": Link.SIGMOID,
    "cross_entropy_lambda": Link.LOG1P_EXP,
}


def read_lightgbm(data: str | bytes) -> Forest:
    """The forest in a LightGBM model text.

    Raises UnsupportedForest for linear trees and objectives of no known link; InvalidForest for text that is not a
    sound model.
    """
    header, blocks = _sections(_text(data))
    if header.get("version") not in ("v3", "v4"):
        raise InvalidForest(f"not a LightGBM model text of version 3 or 4: {header.get('version', '')[:20]!r}")
    n_groups = whole(header.get("num_tree_per_iteration", ""), "num_tree_per_iteration", 1, 10_000)
    task, link, scale = _objective(header.get("objective", ""), n_groups)
    trees = [_tree(block) for block in blocks]
    fields = laid_out(trees, ("<f8", "<f8"))
    return validate_read(
        Forest(
            library=Library.LIGHTGBM,
            task=task,
            link=link,
            link_scale=scale,
            compare=Compare.LESS_EQUAL,
            aggregation=Aggregation.MEAN if "average_output" in header else Aggregation.SUM,
            category_rule=CategoryRule.SIGNED if "category" in fields else CategoryRule.NONE,
            n_features=whole(header.get("max_feature_idx", ""), "max_feature_idx", 0) + 1,
            n_groups=n_groups,
            base=np.zeros(n_groups),
            tree_group=np.arange(len(trees), dtype=np.int32) % n_groups,
            **fields,
        )
    )


def _text(data: str | bytes) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidForest("a LightGBM model is UTF-8 text") from error


def _sections(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The header's fields, and those of every tree; what follows the trees is not needed."""
    lines = iter(text.splitlines())
    if next(lines, "").strip() != "tree":
        raise InvalidForest("this is not a LightGBM model text")
    header: dict[str, str] = {}
    blocks: list[dict[str, str]] = []
    into = header
    for line in _until_the_end(lines):
        key, _, value = line.partition("=")
        if key == "Tree":
            into = dict[str, str]()
            blocks.append(into)
        elif key in into:
            raise InvalidForest(f"{key[:40]} stands twice in tree {len(blocks) - 1}")
        elif key:
            into[key] = value
    return header, blocks


def _until_the_end(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line.strip() == "end of trees":
            return
        yield line.strip()
    raise InvalidForest("the text stops before the end of the trees")


def _objective(words: str, n_groups: int) -> tuple[Task, Link, float]:
    name, *rest = words.split() or [""]
    options = {key: value for key, _, value in (word.partition(":") for word in rest)}
    try:
        scale = float(options.get("sigmoid", "1"))
    except ValueError as error:
        raise InvalidForest(f"sigmoid is {options['sigmoid'][:40]!r}") from error
    if name == "binary":
        return Task.BINARY, Link.SIGMOID, scale
    if name == "multiclass":
        return Task.MULTICLASS, Link.SOFTMAX, 1.0
    if name == "multiclassova":
        return Task.MULTICLASS, Link.SIGMOID, scale
    if name not in _REGRESSIONS or n_groups != 1:
        raise UnsupportedForest(f"LightGBM objective {words[:60]!r}")
    if "sqrt" in options:
        return Task.REGRESSION, Link.SQUARE, 1.0
    return Task.REGRESSION, _REGRESSIONS[name], 1.0


def _tree(block: Mapping[str, str]) -> Tree:
    if block.get("is_linear", "0") != "0":
        raise UnsupportedForest("a LightGBM linear tree")
    leaves = whole(block.get("num_leaves", ""), "num_leaves", 1)
    splits = leaves - 1
    values = _floats(block, "leaf_value", leaves)
    if splits == 0:
        return _lone_leaf(values)
    decision = _integers(block, "decision_type", splits)
    feature = _integers(block, "split_feature", splits)
    threshold = _floats(block, "threshold", splits)
    categorical = decision & _CATEGORICAL != 0
    flags, category, sets = _flags(decision, threshold), *_categories(block, categorical, threshold)
    flags[categorical] = 0  # a missing category is in no set
    leaf_rows = np.arange(leaves)
    return Tree(
        feature=np.concatenate([feature.clip(0, 2**31 - 1), np.full(leaves, -1)]).astype(np.int32),
        threshold=np.concatenate([np.where(categorical, 0.0, threshold), np.zeros(leaves)]),
        left=np.concatenate([_child(block, "left_child", splits), leaf_rows]),
        right=np.concatenate([_child(block, "right_child", splits), np.full(leaves, -1)]),
        flags=np.concatenate([flags, np.zeros(leaves, np.uint8)]),
        leaf_values=values.reshape(-1, 1),
        category=np.concatenate([category, np.full(leaves, -1, np.int32)]),
        sets=sets,
        cover=_cover(block, splits),
    )


def _lone_leaf(values: NDArray[np.float64]) -> Tree:
    return Tree(
        feature=np.array([-1], np.int32),
        threshold=np.zeros(1),
        left=np.zeros(1, np.int32),
        right=np.full(1, -1, np.int32),
        flags=np.zeros(1, np.uint8),
        leaf_values=values.reshape(-1, 1),
        cover=np.ones(1),
    )


def _cover(block: Mapping[str, str], splits: int) -> NDArray[np.int64] | None:
    """How many rows each node saw; LightGBM explains by counts, not by weights."""
    if "internal_count" not in block or "leaf_count" not in block:
        return None
    counts = [_integers(block, "internal_count", splits), _integers(block, "leaf_count", splits + 1)]
    return np.concatenate(counts)


def _child(block: Mapping[str, str], name: str, splits: int) -> NDArray[np.int64]:
    """Splits come first in our order, then leaves, which the text numbers ~0, ~1, …"""
    child = _integers(block, name, splits)
    return np.where(child >= 0, np.where(child < splits, child, -1), splits + ~child)


def _flags(decision: NDArray[np.int64], threshold: NDArray[np.float64]) -> NDArray[np.uint8]:
    missing = decision >> 2
    if ((missing < _MISSING_NONE) | (missing > _MISSING_NAN)).any():
        raise InvalidForest("a decision_type out of range")
    default_left = decision & _DEFAULT_LEFT != 0
    # Without a missing type, LightGBM reads NaN as zero and compares.
    default_left = np.where(missing == _MISSING_NONE, threshold >= 0, default_left)
    flags = default_left * DEFAULT_LEFT + (missing == _MISSING_ZERO) * ZERO_MISSING
    return flags.astype(np.uint8)


def _categories(
    block: Mapping[str, str], categorical: NDArray[np.bool_], threshold: NDArray[np.float64]
) -> tuple[NDArray[np.int32], list[Uint32]]:
    category = np.full(len(categorical), -1, np.int32)
    count = whole(block.get("num_cat", "0"), "num_cat")
    if not count:
        if categorical.any():
            raise InvalidForest("a categorical split in a tree without categories")
        return category, []
    bounds = _integers(block, "cat_boundaries", count + 1)
    words = _integers(block, "cat_threshold", None)
    if bounds[0] != 0 or bounds[-1] != len(words) or (np.diff(bounds) < 0).any():
        raise InvalidForest("cat_boundaries do not match cat_threshold")
    if ((words < 0) | (words >= 2**32)).any():
        raise InvalidForest("cat_threshold out of range")
    which = threshold[categorical]
    if not ((which >= 0) & (which < count) & (which == np.floor(which))).all():
        raise InvalidForest("a categorical split without its set")
    category[categorical] = which.astype(np.int32)
    bits = words.astype(np.uint32)
    return category, [bits[a:b] for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]


def _integers(block: Mapping[str, str], name: str, length: int | None) -> NDArray[np.int64]:
    return _numbers(block, name, length, np.int64)


def _floats(block: Mapping[str, str], name: str, length: int | None) -> NDArray[np.float64]:
    return _numbers(block, name, length, np.float64)


def _numbers(block: Mapping[str, str], name: str, length: int | None, dtype: type[Any]) -> NDArray[Any]:
    words = block.get(name, "").split()
    if length is not None and len(words) != length:
        raise InvalidForest(f"{name} has {len(words)} items, expected {length}")
    try:
        return np.array(words, dtype) if words else np.zeros(0, dtype)
    except (ValueError, OverflowError) as error:
        raise InvalidForest(f"{name} holds something that is not a number") from error
