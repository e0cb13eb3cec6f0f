"""Which goals are reached, computed from the raw rounds. A ratio is the median over the rounds of the ratio within each round."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from benchmarks.engines.goals import Verdict

Measured = Mapping[str, Any]
Figure = Literal["rps", "per_cpu_s"]

OF_NOOP: Final = {"A": 0.6, "B": 0.3, "C": 0.6}
TIMES_PEER: Final = 8.0
JSON_TIMES: Final = 2.5
BINARY_TIMES: Final = 5.0
COLD_TIMES: Final = 1.5
COLD_CALLS: Final = 500
_FIGURES: Final[Mapping[Figure, str]] = {"rps": "requests/s", "per_cpu_s": "requests per server-CPU-second"}


def of(measured: Sequence[Measured], cold: Sequence[Mapping[str, float]] = ()) -> list[Verdict]:
    """Every goal that was measured, model by model; a goal without its rounds is not listed."""
    found: list[Verdict] = []
    for model in sorted({one["model"] for one in measured}):
        found += _model(model, [one for one in measured if one["model"] == model])
    return [*found, *_cold(cold)]


def _model(model: str, measured: Sequence[Measured]) -> Iterator[Verdict]:
    rows = [one for one in measured if one["workload"] == "row-64"]
    for figure, words in _FIGURES.items():
        yield from _ratio(f"{model}: one row, 64 connections, {words}, × no-op", rows, "no-op", figure, OF_NOOP[model])
    for figure, words in _FIGURES.items():
        yield from _ratio(f"{model}: one row, 64 connections, {words}, × best peer", rows, "peer", figure, TIMES_PEER)
    yield from _latency(model, rows)
    json = _of(measured, "json")
    ours = best_form(json)
    for figure, words in _FIGURES.items():
        what = f"{model}: 1,000 rows as {ours}, {words}, × best peer's JSON"
        yield from _ratio(what, json, "peer", figure, JSON_TIMES, form=ours)
    yield from _binary(model, measured, json)
    failed = sum(one["errors"] for one in measured if one["kind"] == "ours")
    yield Verdict(f"{model}: errors of ours in all rounds", failed, 0, most=True)


def _of(measured: Sequence[Measured], workload: str) -> list[Measured]:
    return [one for one in measured if one["workload"] == workload]


def _binary(model: str, measured: Sequence[Measured], json: Sequence[Measured]) -> Iterator[Verdict]:
    """Against the best peer's JSON, and against its binary tensors."""
    binary = _of(measured, "binary")
    ours = best_form(binary)
    mine = [one for one in binary if one["kind"] == "ours"]
    for theirs, words in ((json, "JSON"), (binary, "V2 binary")):
        rounds = [*mine, *(one for one in theirs if one["kind"] == "peer")]
        for figure, unit in _FIGURES.items():
            what = f"{model}: 1,000 rows as {ours}, {unit}, × best peer's {words}"
            yield from _ratio(what, rounds, "peer", figure, BINARY_TIMES, form=ours)


def best_form(measured: Sequence[Measured]) -> str:
    """Ours with the highest median."""
    forms: dict[str, list[float]] = {}
    for one in measured:
        if one["kind"] == "ours":
            forms.setdefault(one["form"], []).append(one["rps"])
    return max(forms, key=lambda form: statistics.median(forms[form]), default="")


def _ratio(
    what: str, measured: Sequence[Measured], kind: str, figure: Figure, goal: float, form: str | None = None
) -> Iterator[Verdict]:
    """Ours by the best of `kind`, in each round that has both."""

    def quotient(ours: Measured, others: Sequence[Measured]) -> float | None:
        best = max(one[figure] for one in others)
        return ours[figure] / best if best else None

    found = _by_round(measured, kind, quotient, form)
    if found:
        yield Verdict(what, statistics.median(found), goal)


def _latency(model: str, measured: Sequence[Measured]) -> Iterator[Verdict]:
    def quotient(ours: Measured, others: Sequence[Measured]) -> float | None:
        return ours["p99_ms"] / min(one["p50_ms"] for one in others if one["p50_ms"])

    found = _by_round(measured, "peer", quotient, None)
    if found:
        what = f"{model}: one row, 64 connections, p99 by the lowest p50 of a peer"
        yield Verdict(what, statistics.median(found), 1.0, most=True)


def _by_round(
    measured: Sequence[Measured],
    kind: str,
    quotient: Callable[[Measured, Sequence[Measured]], float | None],
    form: str | None,
) -> list[float]:
    found: list[float] = []
    for number in sorted({one["round"] for one in measured}):
        mine = [one for one in measured if one["round"] == number]
        ours = [one for one in mine if one["kind"] == "ours" and form in (None, one["form"])]
        others = [one for one in mine if one["kind"] == kind and one["rps"]]
        value = quotient(ours[0], others) if ours and others else None
        if value is not None:
            found.append(value)
    return found


def _cold(rounds: Sequence[Mapping[str, float]]) -> Iterator[Verdict]:
    if not rounds:
        return
    megabytes = rounds[0]["package_mb"]
    what = f"{rounds[0]['calls']:.0f} first calls at once of a package of {megabytes:.0f} MB"
    yield Verdict(f"{what}: most loads in a round", max(one["loads"] for one in rounds), 1, most=True)
    yield Verdict(f"{what}: errors", sum(one["errors"] for one in rounds), 0, most=True)
    times = statistics.median(one["seconds"] / (one["read_s"] + one["parse_s"]) for one in rounds)
    yield Verdict(f"{what}: until the last answer, × (read + parse)", times, COLD_TIMES, most=True)
