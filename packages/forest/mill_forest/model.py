"""The arrays a forest is made of, shared by the readers, the file format and the predictor."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Uint32 = NDArray[np.uint32]
Uint8 = NDArray[np.uint8]
Float64 = NDArray[np.float64]
Floats = NDArray[np.float32] | NDArray[np.float64]

DEFAULT_LEFT: Final = 1
"""Flag of a split: missing values go left."""
ZERO_MISSING: Final = 2
"""Flag of a split: zero counts as missing."""


class Library(StrEnum):
    """Whose arithmetic is reproduced."""

    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    SKLEARN = "scikit-learn"
    ONNX = "onnx"


class Task(StrEnum):
    """What the columns of a prediction are: class probabilities, or one value."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class Link(StrEnum):
    """How margins become predictions; softmax comes in two orders of summation, which differ from 8 classes on."""

    IDENTITY = "identity"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    SOFTMAX_PAIRWISE = "softmax_pairwise"
    EXP = "exp"
    SQUARE = "square"
    LOG1P_EXP = "log1p_exp"


class Compare(StrEnum):
    """Which comparison of value and threshold sends a row left."""

    LESS = "<"
    LESS_EQUAL = "<="


class Aggregation(StrEnum):
    """What becomes of the trees' sum: kept, or divided by the number of trees of each margin."""

    SUM = "sum"
    MEAN = "mean"


class CategoryRule(StrEnum):
    """How a value becomes a category code.

    SIGNED (LightGBM): truncated, so -0.5 is code 0. UNSIGNED (XGBoost): truncated from 0 up. In both, what has no
    code is in no set. EXACT (scikit-learn): only whole numbers among the feature's known codes, else missing.
    """

    NONE = "none"
    SIGNED = "signed"
    UNSIGNED = "unsigned"
    EXACT = "exact"


def _no_int32() -> Int32:
    return np.zeros(0, np.int32)


def _no_floats() -> Floats:
    return np.zeros(0, np.float32)


def _no_uint32() -> Uint32:
    return np.zeros(0, np.uint32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Forest:
    """A tree ensemble; sound once `validate` has passed, which every reader and loader sees to.

    Nodes of all trees stand one after the other; tree t owns the nodes from `tree_offsets[t]` up to
    `tree_offsets[t + 1]` and its first is the root. A leaf has feature -1, its row of `leaf_values` in `left`, and
    right -1. A split's children are absolute node numbers. A categorical split (`category` >= 0) sends the codes of
    its set left.

    Shapes: per tree (T,) `tree_group`; per node (N,) `feature, threshold, left, right, flags, category` (`category`
    is empty without categories); `leaf_values` (L, W), where W is 1, or `n_groups` when every leaf holds a whole
    row; set s is the bits `category_bits[category_offsets[s]:category_offsets[s + 1]]`; `known_*` likewise per
    feature, for the EXACT rule alone; `base` (n_groups,). `cover` (N,) says how much of the training data each node
    saw, in the library's own measure; without it (empty), predictions cannot be explained.

    The dtype of `threshold` is the precision values are compared in, that of `leaf_values` the one of the sums.
    """

    library: Library
    task: Task
    link: Link
    compare: Compare
    aggregation: Aggregation
    category_rule: CategoryRule = CategoryRule.NONE
    n_features: int
    n_groups: int
    link_scale: float = 1.0
    base: Float64
    tree_offsets: Int32
    tree_group: Int32
    feature: Int32
    threshold: Floats
    left: Int32
    right: Int32
    flags: Uint8
    leaf_values: Floats
    category: Int32 = field(default_factory=_no_int32)
    category_offsets: Int32 = field(default_factory=_no_int32)
    category_bits: Uint32 = field(default_factory=_no_uint32)
    known_offsets: Int32 = field(default_factory=_no_int32)
    known_bits: Uint32 = field(default_factory=_no_uint32)
    cover: Floats = field(default_factory=_no_floats)

    @property
    def n_trees(self) -> int:
        """The number of trees."""
        return len(self.tree_group)

    @property
    def n_outputs(self) -> int:
        """The number of columns of a prediction: one per class, or one value."""
        return 2 if self.task is Task.BINARY else self.n_groups

    @property
    def trees_per_margin(self) -> int:
        """By how much a mean divides."""
        return self.n_trees if self.leaf_values.shape[1] > 1 else self.n_trees // self.n_groups

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays."""
        return sum(array.nbytes for array in arrays_of(self).values())


ARRAYS: Final[dict[str, tuple[str, ...]]] = {
    "base": ("<f8",),
    "tree_offsets": ("<i4",),
    "tree_group": ("<i4",),
    "feature": ("<i4",),
    "threshold": ("<f8", "<f4"),
    "left": ("<i4",),
    "right": ("<i4",),
    "flags": ("|u1",),
    "leaf_values": ("<f8", "<f4"),
    "category": ("<i4",),
    "category_offsets": ("<i4",),
    "category_bits": ("<u4",),
    "known_offsets": ("<i4",),
    "known_bits": ("<u4",),
    "cover": ("<f8", "<f4"),
}
"""Every array of a forest, in file order, with the dtypes it may have."""


def arrays_of(forest: Forest) -> dict[str, NDArray[np.generic]]:
    """The arrays of a forest by name, in file order."""
    return {name: getattr(forest, name) for name in ARRAYS}
