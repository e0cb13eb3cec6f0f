"""Models trained once per session, and rows made to fall on every edge of them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mill_forest import Aggregation, CategoryRule, Compare, Forest, Library, Link, Task
from mill_forest.builder import Tree, laid_out
from mill_forest.model import DEFAULT_LEFT, ZERO_MISSING
from numpy.typing import NDArray

Rows = NDArray[np.float64]
EDGE_ROWS = 20_000


def _table(seed: int, rows: int = 1_500) -> tuple[Rows, Rows]:
    """Eight numeric columns of very different scales, with missing values, and a score that depends on them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 8))
    x[:, 1] = np.round(x[:, 1] * 3)
    x[:, 2] = 1.6e12 + x[:, 2] * 1e9  # milliseconds: float32 cannot tell neighbours apart
    x[:, 3] *= 1e-40  # denormal as float32
    x[:, 4] = rng.integers(0, 12, rows)
    x[:, 5] = np.where(rng.random(rows) < 0.6, 0.0, x[:, 5])
    x[rng.random(x.shape) < 0.04] = np.nan
    x[:, 4] = np.nan_to_num(x[:, 4], nan=0.0)
    score = np.nan_to_num(x[:, 0] + 0.5 * x[:, 1] + (x[:, 4] % 3) + (x[:, 2] - 1.6e12) / 1e9 + x[:, 3] * 1e40)
    return x, score + rng.normal(size=rows) * 0.3


@pytest.fixture(scope="session")
def table() -> Callable[..., tuple[Rows, Rows]]:
    """table(seed, rows=1_500): rows with missing values, and a continuous score."""
    return _table


_ODD = [0.0, -0.0, 5e-324, -5e-324, 1e-40, -1e-40, 1e-35, -1e-35, float(np.float32(1e-35)), 1e30, -1e30]
_ODD_CODES = [-1.0, -0.5, 2.7, 13.0, 40.0, 1e9, 1e12, np.nan]


def _sprinkle(rng: np.random.Generator, x: Rows, columns: list[int], values: list[float]) -> None:
    for column in columns:
        where = np.flatnonzero(rng.random(len(x)) < 0.006 * len(values))
        x[where, column] = rng.choice(values, len(where))


def _edge_rows(forest: Forest, sample: Rows, *, infinite: bool = True, nan: bool = True) -> Rows:
    rng = np.random.default_rng(7)
    x = sample[rng.integers(0, len(sample), EDGE_ROWS)].copy()
    categorical = forest.category >= 0 if len(forest.category) else np.zeros(len(forest.feature), bool)
    for f in range(x.shape[1]):
        t = forest.threshold[(forest.feature == f) & ~categorical]
        t = t[np.isfinite(t) & (np.abs(t) < 1e30)]
        if not len(t):
            continue
        where = np.flatnonzero(rng.random(len(x)) < 0.4)
        v = rng.choice(t, len(where))
        infinity = v.dtype.type(np.inf)
        moved = [v, np.nextafter(v, infinity), np.nextafter(v, -infinity)]
        x[where, f] = np.choose(rng.integers(0, 3, len(where)), moved)
        if forest.threshold.dtype == np.float32:  # between two float32 values the cast must round as the library's
            x[where[rng.random(len(where)) < 0.2], f] *= 1 + 2.0**-25
    with_sets = sorted(set(forest.feature[categorical].tolist()))
    numeric = [f for f in range(x.shape[1]) if f not in with_sets]
    _sprinkle(rng, x, numeric, _ODD + [np.inf, -np.inf, 3e38, -3e38] * infinite + [np.nan] * 8)
    _sprinkle(rng, x, with_sets, _ODD_CODES)
    return x if nan else np.nan_to_num(x, nan=0.5)


@pytest.fixture(scope="session")
def edge_rows() -> Callable[..., Rows]:
    """edge_rows(forest, sample): values on thresholds, one ulp beside them, zeros, denormals, NaN and infinities."""
    return _edge_rows


def _differences(ours: NDArray[Any], theirs: NDArray[Any]) -> int:
    theirs = theirs.reshape(ours.shape)
    if theirs.dtype == np.float32:
        assert (ours.astype(np.float32).astype(np.float64) == ours).all()
    return int(np.count_nonzero(ours.view(np.int64) != theirs.astype(np.float64).view(np.int64)))


@pytest.fixture(scope="session")
def differences() -> Callable[[NDArray[Any], NDArray[Any]], int]:
    """differences(ours, theirs): how many values differ in any bit."""
    return _differences


# Forests grown at random, and the rules written out in plain Python.

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
        cover=_cover(rng, left, right),
    )


def _cover(rng: np.random.Generator, left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Leaves of 1 to 9 rows; children come after their parents, so the sums are made backwards."""
    splits = len(left)
    cover = rng.integers(1, 10, 2 * splits + 1)
    for split in reversed(range(splits)):
        cover[split] = cover[left[split]] + cover[right[split]]
    return cover


def _bits(rng: np.random.Generator) -> NDArray[np.uint32]:
    words = rng.integers(0, 2**32, int(rng.integers(0, 9)), dtype=np.uint32)
    if len(words) == 8 and rng.random() < 0.7:
        words[7] &= np.uint32(0x3FFFFFFF)  # leaves codes 254 and 255 free
    return words


def _grown(seed: int, largest: int | None = None) -> Forest:
    rng = np.random.default_rng(seed)
    single, mean = bool(rng.integers(2)), bool(rng.integers(2))
    groups = int(rng.integers(1, 4))
    whole_rows = groups > 1 and not single and bool(rng.integers(2))
    rule = list(CategoryRule)[int(rng.integers(len(CategoryRule)))]
    largest = largest or (700 if seed % 4 == 0 else 40)
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


def _next(forest: Forest, node: int, row: NDArray[np.float64]) -> int:
    with np.errstate(over="ignore"):
        x = float(row[forest.feature[node]].astype(forest.threshold.dtype))
    return int((forest.left if _goes_left(forest, node, x) else forest.right)[node])


@pytest.fixture(scope="session")
def grown() -> Callable[..., Forest]:
    """grown(seed, largest=None): a forest over five features, of any mix of options; at most `largest` leaves."""
    return _grown


@pytest.fixture(scope="session")
def next_node() -> Callable[[Forest, int, NDArray[np.float64]], int]:
    """next_node(forest, node, row): where a row goes from a split, by the rules in plain Python."""
    return _next


@pytest.fixture(scope="session")
def odd_values() -> list[float]:
    """The thresholds of grown forests and what lies between, beyond and beside them."""
    return VALUES
