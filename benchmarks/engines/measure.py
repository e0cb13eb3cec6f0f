"""Times one engine on one model: one row, 1,000 rows, 1,000,000 rows on one and on two threads."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Engine:
    """`row` answers one row of a matrix; `rows` a block, on as many threads; None where an engine has no such way.

    `share` is the part of the largest block that is measured, for engines that would need minutes for it.
    """

    name: str
    row: Callable[[Floats], Any] | None
    rows: Callable[[Floats, int], Any] | None
    share: float = 1.0
    calls: int = 2_000


@dataclass(frozen=True)
class Sizes:
    """How many rows a block has, and which rows are drawn from."""

    table: Floats
    middle: int = 1_000
    large: int = 1_000_000


def round_of(engine: Engine, sizes: Sizes) -> dict[str, float]:
    """Microseconds, milliseconds, seconds. One thread is measured in CPU time of this process, which other work on
    the machine does not lengthen; two threads by the clock."""
    found: dict[str, float] = {}
    if engine.row is not None:
        found["row_us"] = _one_row(engine.row, sizes.table[: engine.calls]) * 1e6
    if engine.rows is None:
        return found
    middle, large = sizes.table[: sizes.middle], sizes.table[: max(1, int(sizes.large * engine.share))]
    scale = sizes.large / len(large)
    found["middle_ms"] = min(_seconds(time.process_time, engine.rows, middle, 1) for _ in range(3)) * 1e3
    found["large_s"] = _seconds(time.process_time, engine.rows, large, 1) * scale
    clock = _seconds(time.perf_counter, engine.rows, large, 1)
    found["large_two_s"] = _seconds(time.perf_counter, engine.rows, large, 2) * scale
    found["two_threads"] = clock * scale / found["large_two_s"]
    return found


def _one_row(row: Callable[[Floats], Any], table: Floats) -> float:
    rows = [np.ascontiguousarray(one) for one in table]
    for one in rows[: len(rows) // 10 + 1]:
        row(one)
    begun = time.process_time()
    for one in rows:
        row(one)
    return (time.process_time() - begun) / len(rows)


def _seconds(clock: Callable[[], float], rows: Callable[[Floats, int], Any], block: Floats, threads: int) -> float:
    begun = clock()
    rows(block, threads)
    return clock() - begun


def medians(rounds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    names = [name for name, value in rounds[0].items() if isinstance(value, float)]
    return {name: float(np.median([found[name] for found in rounds])) for name in names}
