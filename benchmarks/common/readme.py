"""The block of figures in README.md, between two marks; the rest of the file is never touched."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.results import Result

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def block(found: Sequence[Result]) -> str:
    return "\n\n".join(f"{one.answer.markdown()}\n\n*{one.machine.words()}.*" for one in found)


def rewrite(path: Path, found: Sequence[Result]) -> None:
    """Raises `SystemExit` when the file has not exactly one pair of marks."""
    replace(path, "bench", block(found))


def replace(path: Path, name: str, content: str) -> None:
    """Puts `content` between `<!-- name:begin -->` and `<!-- name:end -->`. Raises `SystemExit` as `rewrite`."""
    first, last = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in rest or last in after:
        raise SystemExit(f"{path} needs one line {first} and one line {last} after it")
    path.write_text(f"{before}{first}\n{content}\n{last}{after}", encoding="utf-8")
