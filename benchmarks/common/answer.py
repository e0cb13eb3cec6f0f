"""What a question comes to: one table, notes, and the raw rounds behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

Row = Sequence[str]


@dataclass(frozen=True)
class Answer:
    """`broken` names promises that were not kept; `rounds` is everything that was measured, in order."""

    title: str
    columns: Row
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    broken: tuple[str, ...] = ()
    rounds: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    def text(self) -> str:
        """For a terminal: the first column flush left, figures flush right."""
        widths = [max(len(row[at]) for row in (self.columns, *self.rows)) for at in range(len(self.columns))]
        lines = [self.title, ""]
        for row in (self.columns, *self.rows):
            cells = [
                cell.rjust(width) if at else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells))
        return "\n".join([*lines, "", *self.notes])

    def markdown(self) -> str:
        ruler = [":--", *("--:" for _ in self.columns[1:])]
        table = "\n".join(f"| {' | '.join(row)} |" for row in (self.columns, ruler, *self.rows))
        return "\n\n".join([f"**{self.title}**", table, *self.notes])

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Without the rounds, which no table shows."""
        return cls(**{name: document[name] for name in ("title", "columns", "rows", "notes")})
