"""Dated JSON, one file per question and day: `run.py` writes it, the README's block is made from the newest."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.common.answer import Answer
from benchmarks.common.machine import Machine

FOLDER = Path(__file__).resolve().parents[1] / "results"


@dataclass(frozen=True)
class Result:
    answer: Answer
    machine: Machine


def write(folder: Path, name: str, answer: Answer, machine: Machine, *, quick: bool) -> Path:
    """`<date>-<name>.json`; a later run of the same day takes its place."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{machine.date.partition('T')[0]}-{name}.json"
    document = {"question": name, "quick": quick, "machine": asdict(machine), **answer.document()}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def newest(folder: Path, names: Sequence[str]) -> list[Result]:
    """The latest result of each question that has one."""
    found: list[Result] = []
    for name in names:
        files = sorted(folder.glob(f"????-??-??-{name}.json"))
        if files:
            document = json.loads(files[-1].read_text(encoding="utf-8"))
            found.append(Result(Answer.of(document), Machine(**document["machine"])))
    return found
