"""The array types that pass between trainer, encoder and engines."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

Columns = Mapping[str, NDArray[Any]]
"""Column by name: float64 with NaN for missing (numbers, integers, booleans as 0 and 1, dates as epoch milliseconds in UTC),
object arrays of `str | None` for strings."""
