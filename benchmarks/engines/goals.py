"""What the engine has to reach on each model, and whether it does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

OURS: Final = "mill_forest"
ROW_US: Final = 10.0
ROW_TIMES: Final = 50.0
"""Against the library's predict_proba on an ndarray; LightGBM's own is quicker than that, see SINGLE_ROW_FAST."""
SINGLE_ROW_FAST: Final = 3.0
MIDDLE_TIMES: Final = 8.0
LARGE_TIMES: Final = {"XGBoost": 5.0, "LightGBM": 10.0, "scikit-learn": 3.0}
TWO_THREADS: Final = 1.7


@dataclass(frozen=True)
class Verdict:
    """`reached` and `goal` in the same unit; `most` for a goal that is an upper bound."""

    what: str
    reached: float
    goal: float
    most: bool = False

    @property
    def kept(self) -> bool:
        return self.reached <= self.goal if self.most else self.reached >= self.goal

    def words(self) -> str:
        sign = "≤" if self.most else "≥"
        return f"{'kept' if self.kept else 'MISSED'}: {self.what}: {self.reached:.2f}, goal {sign} {self.goal:g}"


def of(model: str, figures: Mapping[str, Mapping[str, float]], *, differing: int) -> Iterator[Verdict]:
    """Every goal that applies, from the medians of each engine."""
    ours = figures[OURS]
    library = next(name for name in figures if name in LARGE_TIMES)
    theirs = figures[library]
    yield Verdict(f"{model}: values that differ from {library}'s in any bit", differing, 0, most=True)
    yield Verdict(f"{model}: one row, µs", ours["row_us"], ROW_US, most=True)
    yield Verdict(f"{model}: one row, × {library}", theirs["row_us"] / ours["row_us"], ROW_TIMES)
    fast = figures.get("LightGBM single-row-fast")
    if fast is not None:
        yield Verdict(f"{model}: one row, × single-row-fast", fast["row_us"] / ours["row_us"], SINGLE_ROW_FAST)
    yield Verdict(f"{model}: 1,000 rows, × {library}", theirs["middle_ms"] / ours["middle_ms"], MIDDLE_TIMES)
    yield Verdict(f"{model}: 1 M rows, × {library}", theirs["large_s"] / ours["large_s"], LARGE_TIMES[library])
    yield Verdict(f"{model}: two threads, × one", ours["two_threads"], TWO_THREADS)
