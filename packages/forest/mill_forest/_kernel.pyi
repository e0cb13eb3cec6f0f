"""The native kernel; see native/module.c."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

class Kernel:
    """A compiled forest. Built from validated arrays only."""

    layout: str
    nbytes: int

    def __init__(self, options: dict[str, int], scale: float, arrays: dict[str, np.ndarray[Any, Any]], /) -> None: ...
    def block(self, x: NDArray[np.float64], out: NDArray[np.float64], raw: bool, threads: int, /) -> None: ...
    def row(self, x: NDArray[np.float64], out: NDArray[np.float64], raw: bool, /) -> None: ...

class Explainer:
    """A forest made ready to explain. Built from validated arrays with a cover; OverflowError if paths are too long."""

    def __init__(self, options: dict[str, int], arrays: dict[str, np.ndarray[Any, Any]], /) -> None: ...
    def block(self, x: NDArray[np.float64], out: NDArray[np.float64], threads: int, /) -> None: ...

def single_log(value: float, /) -> float: ...
