"""The result as a table, as dated JSON, as the README's block and as a picture."""

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.common.answer import Answer
from benchmarks.engines.goals import Verdict
from benchmarks.serving import models, peers, verdict
from benchmarks.serving.environments import python_of
from benchmarks.serving.rounds import JUDGED, Measured

HERE: Final = Path(__file__).parent
TITLE: Final = "Serving: single rows and 1,000-row batches over HTTP, one worker each, side by side"
COLUMNS: Final = (
    "model",
    "server",
    "1 conn. req/s",
    "16 conn.",
    "64 conn.",
    "p50 ms",
    "p99 ms",
    "per CPU-s",
    "1,000 rows JSON",
    "per CPU-s",
    "1,000 rows binary",
    "per CPU-s",
    "MiB",
    "errors",
)


@dataclass(frozen=True)
class ServingAnswer(Answer):
    """`short` are the rows of the README's table; `verdict` every goal; `cold` the rounds of first calls; `left_out` with reasons."""

    verdict: Sequence[Mapping[str, Any]] = ()
    cold: Sequence[Mapping[str, float]] = ()
    left_out: Sequence[Mapping[str, str]] = ()
    versions: Mapping[str, str] | None = None
    short: Sequence[Sequence[str]] = ()


def rounds_in_words(measured: Sequence[Measured]) -> str:
    """How many of how many seconds, by workload, as the rounds themselves say: `row-64: 5 × 10 s, json: 5 × 10 s`."""
    said: list[str] = []
    for workload in dict.fromkeys(one["workload"] for one in measured):
        judged = [one for one in measured if one["workload"] == workload and one["kind"] != "reported"]
        seconds = statistics.median(one["seconds"] for one in judged)
        said.append(f"{workload}: {max(one['round'] for one in judged)} × {seconds:.0f} s")
    return ", ".join(said)


class _Medians:
    """Of one server on one model."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        self._measured = measured

    def of(self, workload: str, figure: str) -> float | None:
        """The best form's median; None where it was not measured."""
        forms: dict[str, list[float]] = {}
        best: dict[str, list[float]] = {}
        for one in self._measured:
            if one["workload"] == workload:
                forms.setdefault(one["form"], []).append(one[figure])
                best.setdefault(one["form"], []).append(one["rps"])
        if not forms:
            return None
        form = max(best, key=lambda name: statistics.median(best[name]))
        return statistics.median(forms[form])

    @property
    def errors(self) -> int:
        return sum(one["errors"] for one in self._measured)

    @property
    def mib(self) -> float:
        return max(one["rss_mib"] for one in self._measured)


def answer(
    measured: Sequence[Measured], left_out: Sequence[Mapping[str, str]], cold: Sequence[Mapping[str, float]], how: str
) -> ServingAnswer:
    found = verdict.of(measured, cold)
    rows = [_row(model, server, _Medians(several)) for (model, server), several in _grouped(measured).items()]
    missing = [f"Left out: {one['server']} on {one['model']}: {one['reason']}" for one in left_out]
    return ServingAnswer(
        TITLE,
        COLUMNS,
        rows,
        [how, *missing, *(one.words() for one in found)],
        tuple(one.words() for one in found if not one.kept),
        [dict(one) for one in measured],
        verdict=[{**asdict(one), "kept": one.kept} for one in found],
        cold=cold,
        left_out=left_out,
        versions={peer.name: peers.version(peer) for peer in peers.PEERS},
        short=_short(measured),
    )


def _grouped(measured: Sequence[Measured]) -> dict[tuple[str, str], list[Measured]]:
    found: dict[tuple[str, str], list[Measured]] = {}
    for one in measured:
        found.setdefault((one["model"], one["server"]), []).append(one)
    return found


def _row(model: str, server: str, medians: _Medians) -> tuple[str, ...]:
    figures = [medians.of(f"row-{count}", "rps") for count in (1, 16, JUDGED)]
    single = [medians.of("row-64", figure) for figure in ("p50_ms", "p99_ms")]
    return (
        model,
        server,
        *(_whole(figure) for figure in figures),
        *("–" if figure is None else f"{figure:.2f}" for figure in single),
        _whole(medians.of("row-64", "per_cpu_s")),
        *(_whole(medians.of(load, figure)) for load in ("json", "binary") for figure in ("rps", "per_cpu_s")),
        _whole(medians.mib),
        str(medians.errors),
    )


def _whole(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:,.0f}"


def _short(measured: Sequence[Measured]) -> list[list[str]]:
    """A row per server: requests/s and p99 of single rows at 64 connections, 1,000-row JSON and binary batches/s, by model."""
    grouped = _grouped(measured)
    found: list[list[str]] = []
    for server in dict.fromkeys(one["server"] for one in measured):
        row = [server]
        for workload in ("row-64", "json", "binary"):
            for model in models.WORDS:
                medians = _Medians(grouped.get((model, server), []))
                rps, p99 = medians.of(workload, "rps"), medians.of(workload, "p99_ms")
                row.append("–" if rps is None or p99 is None else _cell(workload, rps, p99))
        found.append(row)
    return found


def _cell(workload: str, rps: float, p99: float) -> str:
    return f"{rps:,.0f} · {p99:,.1f} ms" if workload == "row-64" else f"{rps:,.0f}"


def markdown(document: Mapping[str, Any], picture: str, machine: str) -> str:
    """The README's block from the dated JSON."""
    heads = [f"{what} {model}" for what in ("row", "JSON", "binary") for model in models.WORDS]
    lines = ["| server | " + " | ".join(heads) + " |", "| :-- |" + " --: |" * len(heads)]
    lines += [f"| {' | '.join(row)} |" for row in document["short"]]
    kept = sum(one["kept"] for one in document["verdict"])
    missed = [
        Verdict(one["what"], one["reached"], one["goal"], one["most"]).words()
        for one in document["verdict"]
        if not one["kept"]
    ]
    about = "; ".join(f"{name}: {words}" for name, words in models.WORDS.items())
    texts = [
        f"**{document['title']}**",
        "\n".join(lines),
        f"*row*: one row, {JUDGED} connections, requests/s · p99. *JSON*, *binary*: batches of 1,000 rows a second. {about}.",
        f"![Requests per second]({picture})",
        f"{kept} of {len(document['verdict'])} goals are reached." + (" Missed:" if missed else ""),
        "\n".join(f"- {one.removeprefix('MISSED: ')}" for one in missed),
        document["notes"][0],
        *(f"Left out: {one['server']} on {one['model']}: {one['reason']}" for one in document["left_out"]),
        f"*{machine}.*",
    ]
    return "\n\n".join(text for text in texts if text)


def draw(document: Path, picture: Path, cache: Path) -> None:
    """With matplotlib, in an environment of its own."""
    python = python_of("plot", HERE / "plot" / "requirements.txt", cache)
    subprocess.run([str(python), str(HERE / "plot" / "draw.py"), str(document), str(picture)], check=True)


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
