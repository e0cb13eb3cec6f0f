"""Takes the arrays out of fitted scikit-learn ensembles, without importing scikit-learn."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mill_forest.builder import Tree, laid_out
from mill_forest.errors import UnsupportedForest
from mill_forest.model import (
    DEFAULT_LEFT,
    Aggregation,
    Compare,
    Float64,
    Forest,
    Library,
    Link,
    Task,
)
from mill_forest.sklearn_categories import CategoricalColumns
from mill_forest.validate import validate_read

_HISTOGRAM_LINKS: Final = {
    "squared_error": Link.IDENTITY,
    "absolute_error": Link.IDENTITY,
    "quantile": Link.IDENTITY,
    "poisson": Link.EXP,
    "gamma": Link.EXP,
}


def from_sklearn(model: Any) -> Forest:
    """The forest in a fitted decision tree, RandomForest, ExtraTrees, GradientBoosting or HistGradientBoosting estimator.

    Raises UnsupportedForest for any other estimator, several targets, a custom `init`, and categories of
    HistGradientBoosting that are not whole numbers from 0 up.
    """
    reader = _READERS.get(type(model).__name__)
    if reader is None or not type(model).__module__.startswith("sklearn."):
        raise UnsupportedForest(f"scikit-learn estimator {type(model).__name__}")
    return validate_read(reader(model))


def _random_forest(model: Any) -> Forest:
    if model.n_outputs_ != 1:
        raise UnsupportedForest("a forest of several targets")
    classes = int(model.n_classes_) if hasattr(model, "n_classes_") else 0
    if classes == 1:
        raise UnsupportedForest("a forest of a single class")
    groups = max(1, classes)
    grown = getattr(model, "estimators_", None) or [model]
    trees = [_tree(estimator.tree_, groups, missing=True) for estimator in grown]
    return Forest(
        library=Library.SKLEARN,
        task=_task(classes),
        link=Link.IDENTITY,
        compare=Compare.LESS_EQUAL,
        aggregation=Aggregation.MEAN,
        n_features=int(model.n_features_in_),
        n_groups=groups,
        base=np.zeros(groups),
        tree_group=np.zeros(len(trees), np.int32),
        **laid_out(trees, ("<f4", "<f8")),
    )


def _gradient_boosting(model: Any) -> Forest:
    if model.init_ != "zero" and type(model.init_).__name__ not in ("DummyClassifier", "DummyRegressor"):
        raise UnsupportedForest(f"gradient boosting that starts from {type(model.init_).__name__}")
    rounds, groups = model.estimators_.shape
    classes = int(model.n_classes_) if hasattr(model, "n_classes_") else 0
    base: Float64 = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]
    scale = float(model.learning_rate)
    trees = [_tree(estimator.tree_, 1, missing=False, scale=scale) for estimator in model.estimators_.ravel()]
    return Forest(
        library=Library.SKLEARN,
        task=_task(classes),
        link=_boosting_link(classes, Link.SOFTMAX_PAIRWISE),
        link_scale=2.0 if model.loss == "exponential" else 1.0,
        compare=Compare.LESS_EQUAL,
        aggregation=Aggregation.SUM,
        n_features=int(model.n_features_in_),
        n_groups=groups,
        base=np.array(base, np.float64),
        tree_group=np.tile(np.arange(groups, dtype=np.int32), rounds),
        **laid_out(trees, ("<f4", "<f8")),
    )


def _hist_gradient_boosting(model: Any) -> Forest:
    groups = int(model.n_trees_per_iteration_)
    classes = len(model.classes_) if hasattr(model, "classes_") else 0
    if not classes and model.loss not in _HISTOGRAM_LINKS:
        raise UnsupportedForest(f"histogram boosting with loss {model.loss!r}")
    columns = CategoricalColumns.of(model)
    trees = [_histogram_tree(grown, columns) for per_round in model._predictors for grown in per_round]
    return Forest(
        library=Library.SKLEARN,
        task=_task(classes),
        link=_boosting_link(classes, Link.SOFTMAX) if classes else _HISTOGRAM_LINKS[model.loss],
        compare=Compare.LESS_EQUAL,
        aggregation=Aggregation.SUM,
        n_features=int(model.n_features_in_),
        n_groups=groups,
        base=np.array(model._baseline_prediction, np.float64).reshape(-1),
        tree_group=np.tile(np.arange(groups, dtype=np.int32), len(model._predictors)),
        **columns.fields(any(len(tree.sets) for tree in trees)),
        **laid_out(trees, ("<f8", "<f8")),
    )


def _task(classes: int) -> Task:
    return Task.REGRESSION if not classes else Task.BINARY if classes == 2 else Task.MULTICLASS


def _boosting_link(classes: int, softmax: Link) -> Link:
    return Link.IDENTITY if not classes else Link.SIGMOID if classes == 2 else softmax


def _rounded_down(threshold: Float64) -> NDArray[np.float32]:
    """The float32 t for which x <= t holds for the same float32 x as for the float64 threshold."""
    with np.errstate(over="ignore"):
        single = threshold.astype(np.float32)
    above = single.astype(np.float64) > threshold
    return np.where(above, np.nextafter(single, np.float32(-np.inf)), single).astype(np.float32)


def _tree(tree: Any, width: int, *, missing: bool, scale: float = 1.0) -> Tree:
    leaf = tree.children_left < 0
    default = np.asarray(tree.missing_go_to_left, bool) & missing
    return Tree(
        feature=np.where(leaf, -1, tree.feature).astype(np.int32),
        threshold=np.where(leaf, np.float32(0), _rounded_down(tree.threshold)),
        left=np.where(leaf, np.cumsum(leaf) - 1, tree.children_left),
        right=tree.children_right,
        flags=np.where(leaf, 0, default * DEFAULT_LEFT).astype(np.uint8),
        leaf_values=scale * tree.value[leaf, 0, :width],
        cover=tree.weighted_n_node_samples,
    )


def _histogram_tree(grown: Any, columns: CategoricalColumns) -> Tree:
    nodes = grown.nodes
    leaf = nodes["is_leaf"].astype(bool)
    categorical = nodes["is_categorical"].astype(bool) & ~leaf
    category, sets = columns.sets(nodes, categorical, grown.raw_left_cat_bitsets)
    return Tree(
        feature=np.where(leaf, -1, columns.original[np.where(leaf, 0, nodes["feature_idx"])]).astype(np.int32),
        threshold=np.where(leaf | categorical, 0.0, nodes["num_threshold"]),
        left=np.where(leaf, np.cumsum(leaf) - 1, nodes["left"]),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        flags=np.where(leaf, 0, (nodes["missing_go_to_left"] != 0) * DEFAULT_LEFT).astype(np.uint8),
        leaf_values=nodes["value"][leaf].reshape(-1, 1),
        category=category,
        sets=sets,
        cover=nodes["count"],
    )


_READERS: Final[dict[str, Callable[[Any], Forest]]] = {
    **dict.fromkeys(("RandomForestClassifier", "RandomForestRegressor"), _random_forest),
    **dict.fromkeys(("DecisionTreeClassifier", "DecisionTreeRegressor"), _random_forest),
    **dict.fromkeys(("ExtraTreesClassifier", "ExtraTreesRegressor"), _random_forest),
    **dict.fromkeys(("GradientBoostingClassifier", "GradientBoostingRegressor"), _gradient_boosting),
    **dict.fromkeys(("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"), _hist_gradient_boosting),
}
