"""Makes a forest of the attributes of ONNX's TreeEnsembleClassifier and TreeEnsembleRegressor (ai.onnx.ml, version 1 to 3).

`mill_pack.outside.onnx` has read the graph and hands over the attributes as arrays. Values are compared in float32, as the
operator's input is; sums are float64, so a prediction may differ from ONNX Runtime's float32 sum in its last digits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from mill_forest.builder import Tree, laid_out
from mill_forest.errors import InvalidForest, UnsupportedForest
from mill_forest.model import DEFAULT_LEFT, Aggregation, Compare, Forest, Library, Link, Task
from mill_forest.validate import validate_read

Attributes = Mapping[str, Any]
"""By the operator's own names: arrays of numbers, lists of bytes, single numbers and bytes."""

_MODES: Final = {b"LEAF": 0, b"BRANCH_LEQ": 1, b"BRANCH_LT": 2, b"BRANCH_GT": 3, b"BRANCH_GTE": 4}
_LEAF, _LEQ, _LT, _GT, _GTE = range(5)
_POST: Final = {b"NONE": Link.IDENTITY, b"LOGISTIC": Link.SIGMOID, b"SOFTMAX": Link.SOFTMAX}
MAX_TARGETS: Final = 10_000


@dataclass(frozen=True)
class _Nodes:
    """All nodes of all trees, sorted by tree, the root of each first; children are places within the tree."""

    sizes: NDArray[np.int64]
    keys: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    true: NDArray[np.int64]
    false: NDArray[np.int64]
    flags: NDArray[np.uint8]
    leaf: NDArray[np.bool_]
    widest: int

    def places(self, trees: NDArray[np.int64], nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where these nodes stand. Raises InvalidForest for one that does not exist."""
        if len(trees) != len(nodes) or ((nodes < 0) | (nodes >= self.widest) | (trees < 0)).any():
            raise InvalidForest("a weight for a node that does not exist")
        return _find(self.keys, trees * self.widest + nodes, "a weight for a node that does not exist")


def read_onnx_classifier(attributes: Attributes, n_features: int, n_classes: int) -> Forest:
    """Raises UnsupportedForest for what this engine does not reproduce, InvalidForest for what makes no sense."""
    nodes = _nodes(attributes)
    link = _link(attributes)
    ids = _whole(attributes, "class_ids")
    weights = _weights(attributes, "class_weights", len(ids))
    places = nodes.places(_whole(attributes, "class_treeids"), _whole(attributes, "class_nodeids"))
    if len(places) != len(ids) or not len(ids):
        raise InvalidForest("class_ids, class_nodeids and class_treeids differ in length")
    one_sided = n_classes == 2 and len(np.unique(ids)) == 1
    if one_sided:
        if link is Link.SOFTMAX or (link is Link.IDENTITY and (weights < 0).any()):
            raise UnsupportedForest("an ONNX classifier of two classes whose scores are no probabilities")
        return _forest(attributes, nodes, n_features, _Sums(Task.BINARY, link, 1, places, ids * 0, weights))
    task = Task.BINARY if n_classes == 2 else Task.MULTICLASS
    return _forest(attributes, nodes, n_features, _Sums(task, link, n_classes, places, ids, weights))


def read_onnx_regressor(attributes: Attributes, n_features: int) -> Forest:
    """Raises as `read_onnx_classifier`."""
    nodes = _nodes(attributes)
    if int(attributes.get("n_targets", 1)) != 1:
        raise UnsupportedForest("an ONNX regressor of several targets")
    ids = _whole(attributes, "target_ids")
    weights = _weights(attributes, "target_weights", len(ids))
    places = nodes.places(_whole(attributes, "target_treeids"), _whole(attributes, "target_nodeids"))
    if len(places) != len(ids):
        raise InvalidForest("target_ids, target_nodeids and target_treeids differ in length")
    link = _link(attributes)
    if link is Link.SOFTMAX:
        raise UnsupportedForest("a softmax over one target")
    return _forest(attributes, nodes, n_features, _Sums(Task.REGRESSION, link, 1, places, ids, weights))


@dataclass(frozen=True)
class _Sums:
    """What the leaves add to which margin."""

    task: Task
    link: Link
    groups: int
    places: NDArray[np.int64]
    ids: NDArray[np.int64]
    weights: NDArray[np.float64]


def _forest(attributes: Attributes, nodes: _Nodes, n_features: int, sums: _Sums) -> Forest:
    if not 0 < sums.groups <= MAX_TARGETS or ((sums.ids < 0) | (sums.ids >= sums.groups)).any():
        raise InvalidForest("a weight for a class or target that does not exist")
    if not nodes.leaf[sums.places].all():
        raise InvalidForest("a weight on a node that is no leaf")
    rows = np.cumsum(nodes.leaf) - 1
    if sums.groups * int(nodes.leaf.sum()) > 200_000_000:
        raise InvalidForest("more leaf values than any model needs")
    values = np.zeros((int(nodes.leaf.sum()), sums.groups))
    np.add.at(values, (rows[sums.places], sums.ids), sums.weights)
    aggregate = attributes.get("aggregate_function", b"SUM")
    if aggregate not in (b"SUM", b"AVERAGE"):
        raise UnsupportedForest(f"the aggregate {aggregate!r}")
    trees = _trees(nodes, values)
    return validate_read(
        Forest(
            library=Library.ONNX,
            task=sums.task,
            link=sums.link,
            compare=Compare.LESS_EQUAL,
            aggregation=Aggregation.SUM if aggregate == b"SUM" else Aggregation.MEAN,
            n_features=n_features,
            n_groups=sums.groups,
            base=_base(attributes, sums.groups),
            tree_group=np.zeros(len(trees), np.int32),
            **laid_out(trees, ("<f4", "<f8")),
        )
    )


def _trees(nodes: _Nodes, values: NDArray[np.float64]) -> list[Tree]:
    found: list[Tree] = []
    first = leaf_first = 0
    for size in nodes.sizes.tolist():
        part = slice(first, first + size)
        leaf = nodes.leaf[part]
        leaves = int(leaf.sum())
        found.append(
            Tree(
                feature=np.where(leaf, -1, nodes.feature[part]).astype(np.int32),
                threshold=np.where(leaf, np.float32(0), nodes.threshold[part]),
                left=np.where(leaf, np.cumsum(leaf) - 1, nodes.true[part]),
                right=np.where(leaf, -1, nodes.false[part]),
                flags=np.where(leaf, 0, nodes.flags[part]).astype(np.uint8),
                leaf_values=values[leaf_first : leaf_first + leaves],
            )
        )
        first, leaf_first = first + size, leaf_first + leaves
    return found


def _nodes(attributes: Attributes) -> _Nodes:
    """The nodes sorted by tree and number, with every comparison turned into "<=" and children into places."""
    tree, number = _whole(attributes, "nodes_treeids"), _whole(attributes, "nodes_nodeids")
    count = len(tree)
    if not count or len(number) != count or ((tree < 0) | (number < 0)).any():
        raise InvalidForest("no nodes, or nodes without a number")
    widest = int(number.max()) + 1
    if widest > 2**31 or int(tree.max()) > 2**31:
        raise InvalidForest("a node or tree number out of range")
    order = np.argsort(tree * widest + number, kind="stable")
    keys = (tree * widest + number)[order]
    if (keys[1:] == keys[:-1]).any():
        raise InvalidForest("two nodes of one number in one tree")
    mode = _modes(attributes, count)[order]
    leaf = mode == _LEAF
    trees, sizes = np.unique(tree[order], return_counts=True)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    children = [
        np.where(leaf, keys, tree[order] * widest + _inside(attributes, name, count, widest)[order])
        for name in ("nodes_truenodeids", "nodes_falsenodeids")
    ]
    true, false = (_find(keys, child, "a child that does not exist") - starts for child in children)
    _require_roots_first(true, false, leaf, starts, len(trees))
    threshold, swap = _thresholds(attributes, mode, order)
    tracks = _tracks(attributes, count)[order]
    return _Nodes(
        sizes=sizes,
        keys=keys,
        feature=_exactly(attributes, "nodes_featureids", count)[order],
        threshold=threshold,
        true=np.where(swap, false, true),
        false=np.where(swap, true, false),
        flags=((tracks ^ swap) * DEFAULT_LEFT).astype(np.uint8),
        leaf=leaf,
        widest=widest,
    )


def _require_roots_first(
    true: NDArray[np.int64], false: NDArray[np.int64], leaf: NDArray[np.bool_], starts: NDArray[np.int64], trees: int
) -> None:
    """Converters number roots 0; elsewhere the root is not known without walking, which validation does from the first node."""
    children = np.concatenate([(starts + true)[~leaf], (starts + false)[~leaf]])
    if np.isin(np.unique(starts), children).any() or len(np.unique(starts)) != trees:
        raise InvalidForest("a tree whose first node is not its root")


def _thresholds(
    attributes: Attributes, mode: NDArray[np.int64], order: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Thresholds of "<=", and which splits had to swap their children for it."""
    values = _array(attributes, "nodes_values")
    if values.dtype != np.float32 or len(values) != len(mode):
        raise InvalidForest("nodes_values are not one float32 for each node")
    given = values[order]
    lower = (mode == _LT) | (mode == _GTE)
    threshold = np.where(lower, np.nextafter(given, np.float32(-np.inf)), given)
    return threshold.astype(np.float32), (mode == _GT) | (mode == _GTE)


def _modes(attributes: Attributes, count: int) -> NDArray[np.int64]:
    given = attributes.get("nodes_modes")
    modes = cast("list[object]", given) if isinstance(given, list) else []
    if len(modes) != count:
        raise InvalidForest("nodes_modes are not one word for each node")
    numbers = [_MODES.get(mode, -1) if isinstance(mode, bytes) else -1 for mode in modes]
    if -1 in numbers:
        raise UnsupportedForest(f"the comparison {str(modes[numbers.index(-1)])[:40]}")
    return np.array(numbers, np.int64)


def _tracks(attributes: Attributes, count: int) -> NDArray[np.bool_]:
    """Whether missing values go where true goes."""
    if not len(attributes.get("nodes_missing_value_tracks_true", ())):
        return np.zeros(count, bool)
    return _exactly(attributes, "nodes_missing_value_tracks_true", count) != 0


def _inside(attributes: Attributes, name: str, count: int, widest: int) -> NDArray[np.int64]:
    numbers = _exactly(attributes, name, count)
    return np.where((numbers >= 0) & (numbers < widest), numbers, widest)


def _find(keys: NDArray[np.int64], wanted: NDArray[np.int64], problem: str) -> NDArray[np.int64]:
    places = np.searchsorted(keys, wanted).clip(0, len(keys) - 1)
    if (keys[places] != wanted).any():
        raise InvalidForest(problem)
    return places


def _link(attributes: Attributes) -> Link:
    word = attributes.get("post_transform", b"NONE")
    if word not in _POST:
        raise UnsupportedForest(f"the post_transform {str(word)[:40]}")
    return _POST[word]


def _base(attributes: Attributes, groups: int) -> NDArray[np.float64]:
    given = attributes.get("base_values")
    if given is None or not len(given):
        return np.zeros(groups)
    base = np.asarray(given, np.float64)
    if base.shape != (groups,):
        raise InvalidForest(f"{base.size} base values for {groups} margins")
    return base


def _weights(attributes: Attributes, name: str, count: int) -> NDArray[np.float64]:
    given = _array(attributes, name)
    if given.dtype != np.float32 or len(given) != count:
        raise InvalidForest(f"{name} are not {count} float32")
    return given.astype(np.float64)


def _exactly(attributes: Attributes, name: str, count: int) -> NDArray[np.int64]:
    numbers = _whole(attributes, name)
    if len(numbers) != count:
        raise InvalidForest(f"{name} has {len(numbers)} items, expected {count}")
    return numbers


def _whole(attributes: Attributes, name: str) -> NDArray[np.int64]:
    given = _array(attributes, name)
    if given.dtype != np.int64:
        raise InvalidForest(f"{name} is not a list of whole numbers")
    return given


def _array(attributes: Attributes, name: str) -> NDArray[Any]:
    given = attributes.get(name)
    if not isinstance(given, np.ndarray):
        raise InvalidForest(f"{name} is not a list of numbers")
    return cast("NDArray[Any]", given)
