"""From a string to its number: one dictionary per string column, shared by the single-row and the columnar path."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mill_pack.arrays import FloatArray
from mill_pack.encoding.document import CategoricalOutput


@dataclass(frozen=True, slots=True)
class CodeTable:
    """`codes` maps each known string, and None where missing has a code; NaN stands for missing, `unseen` for the rest.

    Ordinal codes are already shifted and scaled; one-hot codes are column offsets, `width` where no column is set.
    """

    codes: dict[str | None, float]
    unseen: float
    width: int

    @classmethod
    def of(cls, output: CategoricalOutput) -> "CodeTable":
        if output.mode == "ordinal":
            return cls._built(output, shift=output.shift, scale=output.scale, missing=math.nan)
        return cls._built(output, shift=0.0, scale=1.0, missing=float(output.codes))

    @classmethod
    def _built(cls, output: CategoricalOutput, *, shift: float, scale: float, missing: float) -> "CodeTable":
        codes: dict[str | None, float] = {
            category: (code - shift) / scale for code, category in enumerate(output.categories)
        }
        missing_code = output.missing_code
        codes[None] = missing if missing_code is None else (missing_code - shift) / scale
        return cls(codes=codes, unseen=(output.unseen_code - shift) / scale, width=output.width)

    def encode(self, values: Sequence[str | None]) -> FloatArray:
        get, unseen = self.codes.get, self.unseen
        return np.array([get(value, unseen) for value in values], dtype=np.float64)

    def count_unseen(self, values: Sequence[str | None], codes: FloatArray) -> int:
        """A code of its own tells unseen values at once; where it is shared (`other`, one-hot), the strings are looked at."""
        if not (codes == self.unseen).any():
            return 0
        known = self.codes
        return sum(value not in known for value in values)

    @property
    def nbytes(self) -> int:
        return sys.getsizeof(self.codes) + sum(sys.getsizeof(text) + 24 for text in self.codes)
