"""Predictions that equal the library's own, bit for bit; `mill_pack` calls this for every forest it serves."""

from threading import Lock
from typing import Final

import numpy as np

from mill_forest._kernel import Explainer, Kernel
from mill_forest.errors import UnsupportedForest
from mill_forest.layout import kernel_arrays, kernel_options
from mill_forest.model import Float64, Forest, Library, Link
from mill_forest.validate import validate

_NUMPY_LINKS: Final = (Link.SOFTMAX, Link.SOFTMAX_PAIRWISE, Link.EXP)


class Predictor:
    """A forest made ready; immutable, shared by threads.

    Missing values are NaN. Categorical features are given as their codes.
    """

    __slots__ = ("_explainer", "_kernel", "_lock", "_numpy_link", "_row", "forest")

    forest: Final[Forest]

    def __init__(self, forest: Forest, *, layout: str = "blend", avx2: bool = True, crowned: bool = True) -> None:
        """Validate and compile; the options bound what the kernel may choose (all give the same bits)."""
        self.forest = validate(forest)
        # scikit-learn takes softmax and exponential from numpy, whose vector code differs from glibc's.
        self._numpy_link = forest.library is Library.SKLEARN and forest.link in _NUMPY_LINKS
        options = kernel_options(forest, layout, numpy_link=self._numpy_link, avx2=avx2, crowned=crowned)
        self._kernel = Kernel(options, forest.link_scale, kernel_arrays(forest))
        self._row = self._kernel.row
        self._explainer: Explainer | None = None
        self._lock = Lock()

    @property
    def layout(self) -> str:
        """The layout the kernel chose for blocks: walk, lockstep, phased or blend."""
        return self._kernel.layout

    @property
    def nbytes(self) -> int:
        """Bytes of memory this predictor holds of its own, beside the forest's arrays (`forest.nbytes`)."""
        return self._kernel.nbytes

    def predict(self, x: Float64, threads: int = 1) -> Float64:
        """Rows (n, n_features) to (n, n_outputs): class probabilities, or the value in one column.

        Runs without the GIL. Raises ValueError for another shape.
        """
        if self._numpy_link:
            return self._linked(self.raw(x, threads))
        return self._run(x, threads, raw=False, columns=self.forest.n_outputs)

    def raw(self, x: Float64, threads: int = 1) -> Float64:
        """Rows (n, n_features) to margins (n, n_groups), before the link."""
        return self._run(x, threads, raw=True, columns=self.forest.n_groups)

    def predict_one(self, row: Float64) -> Float64:
        """One contiguous float64 row (n_features,) to (n_outputs,), in microseconds. Raises ValueError otherwise."""
        if self._numpy_link:
            margins = np.empty((1, self.forest.n_groups))
            self._row(row, margins, True)
            return self._linked(margins)[0]
        out = np.empty(self.forest.n_outputs)
        self._row(row, out, False)
        return out

    def contributions(self, x: Float64, threads: int = 1) -> Float64:
        """Rows (n, n_features) to exact TreeSHAP contributions (n, n_groups, n_features + 1), path dependent.

        A row's contributions and its last column (what is expected of any row) add up to its margins. Runs without
        the GIL. Raises UnsupportedForest when the forest has no cover, ValueError for another shape.
        """
        rows = self._checked(x)
        explainer = self._explaining()
        out = np.empty((len(rows), self.forest.n_groups, self.forest.n_features + 1))
        explainer.block(rows, out, threads)
        return out

    def _explaining(self) -> Explainer:
        with self._lock:
            if self._explainer is None:
                self._explainer = _new_explainer(self.forest)
            return self._explainer

    def _run(self, x: Float64, threads: int, *, raw: bool, columns: int) -> Float64:
        rows = self._checked(x)
        out = np.empty((len(rows), columns))
        self._kernel.block(rows, out, raw, threads)
        return out

    def _checked(self, x: Float64) -> Float64:
        rows = np.ascontiguousarray(x, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.forest.n_features:
            raise ValueError(f"expected rows of {self.forest.n_features} features, got shape {rows.shape}")
        return rows

    def _linked(self, margins: Float64) -> Float64:
        """The link as scikit-learn computes it, down to the order in which numpy adds a row up for it."""
        if self.forest.link is Link.EXP:
            return np.exp(margins)
        powers = np.exp(margins - margins.max(axis=1, keepdims=True))
        if self.forest.link is Link.SOFTMAX_PAIRWISE:
            return powers / powers.sum(axis=1, keepdims=True)
        return powers / np.cumsum(powers, axis=1)[:, -1:]


def _new_explainer(forest: Forest) -> Explainer:
    if not len(forest.cover):
        raise UnsupportedForest("this forest does not say how much data its nodes saw, so it cannot be explained")
    arrays = kernel_arrays(forest) | {"cover": forest.cover.astype(np.float64)}
    try:
        return Explainer(kernel_options(forest, "walk"), arrays)
    except OverflowError as error:
        raise UnsupportedForest(str(error)) from error
