"""The block of figures in README.md, between two marks; the rest of the file is never touched."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.results import Result

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def block(found: Sequence[Result]) -> str:
    return "\n\n".join(f"{one.answer.markdown()}\n\n*{one.machine.words()}.*" for one in found)


def rewrite(path: Path, found: Sequence[Result]) -> None:
    """Raises `SystemExit` when the file has not exactly one pair of marks."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise SystemExit(f"{path} needs one line {BEGIN} and one line {END} after it")
    path.write_text(f"{before}{BEGIN}\n{block(found)}\n{END}{after}", encoding="utf-8")
