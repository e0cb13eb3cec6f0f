"""The long run of promise 28 in pieces: one role, one part of one API, one phase of Schemathesis each. Used by `contract`.

A piece that has ended is kept, so that a run can be ended at any time and gone on with later, also by another commit. What failed, or was
tried with other examples or another seed, is tried again. The result counts pieces: a run that lacks some is bounded, never reached.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from mill_contracts.tokens import Role

from tests.faults.promises import Result

SERVING = "ml-service"
PHASES = ("examples,coverage", "fuzzing", "stateful")


@dataclass(frozen=True)
class Piece:
    """What one run of Schemathesis tries. `part` is a tag of the api-server, or `ml-service`."""

    role: Role
    part: str
    phases: str

    @property
    def title(self) -> str:
        return f"{self.part} as {self.role.value}: {self.phases}"

    @property
    def slug(self) -> str:
        return "-".join(f"{self.role.value} {self.part} {self.phases}".replace(",", " ").replace("_", " ").split())

    @property
    def may_be_empty(self) -> bool:
        """A part without links has no chains of calls, and one without examples none to repeat."""
        return "fuzzing" not in self.phases


@dataclass(frozen=True)
class Ended:
    """A piece and what it showed."""

    piece: Piece
    examples: int
    seed: int
    started: str
    seconds: float
    commit: str
    calls: int
    operations: int
    failures: tuple[str, ...] = ()


def pieces(roles: Iterable[Role], parts: Iterable[str], phases: Iterable[str] = PHASES) -> list[Piece]:
    """Those of one part together, so that what an interface promises is seen as every role before the next one begins."""
    return [Piece(role, part, phase) for part, role, phase in product(parts, roles, phases)]


@dataclass(frozen=True)
class Shelf:
    """The ended pieces of runs of this length and seed, a file each."""

    folder: Path
    examples: int
    seed: int
    ended: dict[Piece, Ended] = field(default_factory=dict[Piece, Ended])

    @classmethod
    def open(cls, folder: Path, examples: int, seed: int) -> "Shelf":
        shelf = cls(folder, examples, seed)
        for path in sorted(folder.glob("*.json")):
            one = _read(json.loads(path.read_text("utf-8")))
            if (one.examples, one.seed) == (examples, seed):
                shelf.ended[one.piece] = one
        return shelf

    def keep(self, one: Ended) -> None:
        self.ended[one.piece] = one
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{one.piece.slug}.json"
        path.write_text(json.dumps(asdict(one), indent=2, ensure_ascii=False) + "\n", "utf-8")

    def left(self, wanted: Sequence[Piece]) -> list[Piece]:
        """What was never tried first, then what failed."""
        untried = [piece for piece in wanted if piece not in self.ended]
        return untried + [piece for piece in wanted if piece in self.ended and self.ended[piece].failures]

    def expected(self, piece: Piece) -> float:
        """Seconds it will take, from the same calls as another role; a guess where nothing is known."""
        known = [
            one.seconds
            for one in self.ended.values()
            if (one.piece.part, one.piece.phases) == (piece.part, piece.phases)
        ]
        return max(known, default=15.0)


def _read(document: dict[str, Any]) -> Ended:
    piece = document.pop("piece")
    failures = tuple(document.pop("failures"))
    return Ended(Piece(Role(piece["role"]), piece["part"], piece["phases"]), failures=failures, **document)


def merged(shelf: Shelf, wanted: Sequence[Piece], whole: int) -> Result:
    """One result of all pieces that ended. `whole` is how many there are; failures are of their newest run."""
    ended = [shelf.ended[piece] for piece in wanted if piece in shelf.ended]
    failures = [text for one in ended for text in one.failures]
    operations: dict[tuple[str, str], int] = {}
    for one in ended:
        key = (one.piece.part, one.piece.role.value)
        operations[key] = max(operations.get(key, 0), one.operations)
    commits = sorted({one.commit for one in ended})
    return Result(
        promise=28,
        title="The API keeps its contract",
        trials=len(ended),
        failures=len(failures),
        seed=shelf.seed,
        started=min((one.started for one in ended), default=""),
        seconds=round(sum(one.seconds for one in ended), 1),
        commit=ended[-1].commit if ended else "",
        command=f"make test-contract EXAMPLES={shelf.examples}",
        figures={
            "calls": sum(one.calls for one in ended),
            "operations × roles": sum(operations.values()),
            "examples for each operation": shelf.examples,
            "roles": len({one.piece.role for one in ended}),
            "parts of both APIs": len({one.piece.part for one in ended}),
            "commits": ", ".join(commits),
        },
        full=whole if shelf.examples >= 100 else whole + 1,
        notes="; ".join(failures[:5]),
    )
