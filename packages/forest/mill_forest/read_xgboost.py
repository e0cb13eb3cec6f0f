"""Reads the models XGBoost 3 saves, as UBJSON or JSON."""

import json
from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np

from mill_forest._kernel import single_log
from mill_forest.builder import Tree, bitset, laid_out, without_unreached
from mill_forest.errors import InvalidForest, UnsupportedForest
from mill_forest.model import (
    DEFAULT_LEFT,
    Aggregation,
    CategoryRule,
    Compare,
    Float64,
    Forest,
    Library,
    Link,
    Task,
    Uint32,
)
from mill_forest.tree_fields import floats, integers, items, section, text, whole
from mill_forest.ubjson import parse_ubjson
from mill_forest.validate import validate_read

MAX_CATEGORY: Final = 2**24
_OBJECTIVES: Final = {
    "binary:logistic": (Task.BINARY, Link.SIGMOID),
    "multi:softprob": (Task.MULTICLASS, Link.SOFTMAX),
    "reg:squarederror": (Task.REGRESSION, Link.IDENTITY),
    "reg:squaredlogerror": (Task.REGRESSION, Link.IDENTITY),
    "reg:pseudohubererror": (Task.REGRESSION, Link.IDENTITY),
    "reg:absoluteerror": (Task.REGRESSION, Link.IDENTITY),
    "reg:quantileerror": (Task.REGRESSION, Link.IDENTITY),
    "reg:logistic": (Task.REGRESSION, Link.SIGMOID),
    "count:poisson": (Task.REGRESSION, Link.EXP),
    "reg:gamma": (Task.REGRESSION, Link.EXP),
    "reg:tweedie": (Task.REGRESSION, Link.EXP),
}


def read_xgboost(data: bytes) -> Forest:
    """The forest in an XGBoost model of UBJSON or JSON bytes; only the rounds up to `best_iteration`, if it has one.

    Raises UnsupportedForest for DART, linear boosters, vector leaves and other objectives; InvalidForest for bytes
    that are not a sound model.
    """
    learner = section(_parsed(bytes(data)), "learner")
    booster = section(learner, "gradient_booster")
    if booster.get("name") != "gbtree":
        raise UnsupportedForest(f"XGBoost booster {str(booster.get('name'))[:40]!r}; only gbtree is reproduced")
    objective = text(section(learner, "objective"), "name")
    if objective not in _OBJECTIVES:
        raise UnsupportedForest(f"XGBoost objective {objective[:60]!r}")
    task, link = _OBJECTIVES[objective]
    parameters = section(learner, "learner_model_param")
    n_features = whole(parameters.get("num_feature"), "num_feature", 1)
    n_groups = max(1, whole(parameters.get("num_class", "0"), "num_class", 0, 10_000))
    if whole(parameters.get("num_target", "1"), "num_target", 0) > 1:
        raise UnsupportedForest("an XGBoost model of several targets")
    trees, groups = _trees(learner, section(booster, "model"))
    fields = laid_out(trees, ("<f4", "<f4"))
    return validate_read(
        Forest(
            library=Library.XGBOOST,
            task=task,
            link=link,
            compare=Compare.LESS,
            aggregation=Aggregation.SUM,
            category_rule=CategoryRule.UNSIGNED if "category" in fields else CategoryRule.NONE,
            n_features=n_features,
            n_groups=n_groups,
            base=_base(text(parameters, "base_score"), link, n_groups),
            tree_group=groups,
            **fields,
        )
    )


def _parsed(data: bytes) -> object:
    if data[:2] not in (b"{L", b"{i", b"{U", b"{l", b"{I"):
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InvalidForest(f"neither UBJSON nor JSON: {error}") from error
    return parse_ubjson(data)


def _trees(learner: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[list[Tree], Any]:
    found = items(model, "trees")
    groups = integers(model, "tree_info", len(found))
    wanted = len(found)
    best = section(learner, "attributes").get("best_iteration")
    if best is not None:
        rounds = integers(model, "iteration_indptr")
        at = whole(best, "best_iteration") + 1
        if at < len(rounds):
            wanted = int(np.clip(rounds[at], 0, len(found)))
    return [_tree(section(tree)) for tree in found[:wanted]], groups[:wanted].clip(-1, 2**30).astype(np.int32)


def _tree(fields: Mapping[str, Any]) -> Tree:
    if whole(section(fields, "tree_param").get("size_leaf_vector", "1"), "size_leaf_vector") > 1:
        raise UnsupportedForest("an XGBoost tree with vector leaves")
    left = integers(fields, "left_children")
    count = len(left)
    right = integers(fields, "right_children", count)
    leaf = left < 0
    threshold = floats(fields, "split_conditions", count)
    feature = integers(fields, "split_indices", count)
    flags = np.where(integers(fields, "default_left", count) != 0, DEFAULT_LEFT, 0)
    category, sets = _categories(fields, count)
    categorical = category >= 0
    if leaf[categorical].any():
        raise InvalidForest("a leaf with categories")
    # XGBoost sends a listed category right, our sets send it left: swap those children and their default.
    left, right = np.where(categorical, right, left), np.where(categorical, left, right)
    flags = np.where(categorical, flags ^ DEFAULT_LEFT, flags)
    tree = Tree(
        feature=np.where(leaf, -1, np.clip(feature, 0, 2**31 - 1)).astype(np.int32),
        threshold=np.where(leaf | categorical, 0.0, threshold),
        left=np.where(leaf, np.cumsum(leaf) - 1, left),
        right=right,
        flags=np.where(leaf, 0, flags).astype(np.uint8),
        leaf_values=threshold[leaf].reshape(-1, 1),
        category=category,
        sets=sets,
        cover=floats(fields, "sum_hessian", count).astype(np.float32) if "sum_hessian" in fields else None,
    )
    deleted = whole(section(fields, "tree_param").get("num_deleted", "0"), "num_deleted")
    return without_unreached(tree) if deleted else tree


def _categories(fields: Mapping[str, Any], count: int) -> tuple[Any, list[Uint32]]:
    category = np.full(count, -1, np.int32)
    split_type = integers(fields, "split_type", count) if "split_type" in fields else np.zeros(count, np.int64)
    nodes = integers(fields, "categories_nodes") if "categories_nodes" in fields else np.zeros(0, np.int64)
    if not np.array_equal(np.flatnonzero(split_type), nodes):
        raise InvalidForest("categories_nodes and split_type disagree")
    if not len(nodes):
        return category, []
    codes = integers(fields, "categories")
    begins = integers(fields, "categories_segments", len(nodes))
    sizes = integers(fields, "categories_sizes", len(nodes))
    sets: list[Uint32] = []
    for begin, size in zip(begins.tolist(), sizes.tolist(), strict=True):
        if begin < 0 or size < 0 or begin + size > len(codes):
            raise InvalidForest("a segment outside the categories")
        sets.append(bitset(codes[begin : begin + size], MAX_CATEGORY))
    category[nodes] = np.arange(len(nodes))
    return category, sets


def _base(score: str, link: Link, n_groups: int) -> Float64:
    """The margins every sum starts from: base_score through the link's inverse, in float32 as XGBoost does it."""
    try:
        scores = [float(np.float32(part)) for part in score.strip("[] ").split(",")]
    except ValueError as error:
        raise InvalidForest(f"base_score is {score[:60]!r}") from error
    if len(scores) not in (1, n_groups):
        raise InvalidForest(f"{len(scores)} base scores for {n_groups} margins")
    margins = np.array([_margin(value, link) for value in scores], np.float64)
    return np.broadcast_to(margins, (n_groups,)).copy()


def _margin(score: float, link: Link) -> float:
    if link is Link.SIGMOID:
        if not 0 < score < 1:
            raise InvalidForest(f"base_score {score} is not between 0 and 1")
        one = np.float32(1)
        return -single_log(float(one / np.float32(score) - one))
    if link is Link.EXP:
        if not score > 0:
            raise InvalidForest(f"base_score {score} is not positive")
        return single_log(score)
    return score


def names_of(data: bytes) -> tuple[object, ...]:
    """The names of the features as the model has them, unchecked; empty where it has none."""
    names = section(_parsed(bytes(data)), "learner").get("feature_names")
    return tuple(cast("list[object]", names)) if isinstance(names, list) else ()
