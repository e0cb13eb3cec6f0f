"""Writes docs/reliability.md from `promises.toml` and `results/*.json`: `python -m tests.faults.table [--check]`.

Called by docs/generate.py, so `make check` fails when the page is not what the results say.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.promises import ROOT, Promise, Result, State, read_promises, read_results, state_of

PAGE = ROOT / "docs" / "reliability.md"
HEAD = """\
# Reliability

What Modelmill promises when parts of it fail, how each promise is tried, and how far the trials went. This page is made by
`make generate` from the files in `tests/faults/results/`, which the runs write. Where a run was
ended, judged or counted by hand, its note says so. The states:

- **reached**: the full number of trials in every part, and none failed.
- **bounded**: none failed, in fewer trials than the full number. No failure in *n* trials bounds the rate of failures at 3/*n*
  with 95 % confidence; that bound stands beside the state, with what else the runs leave out. It is not "never".
- **not held**: a trial failed; the figure and the reason are given.
- **open**: not tried; the part that is missing is named.

`make test-faults` repeats everything (`ONLY=1,8` some of it, `SCALE=0.1` fewer trials, `SEED=` another course of faults) and
prints the verdicts; `RECORD=1` writes the results. Each run writes what every client saw, what the faults were and when, and the
verdict. Faults, clients and checker are described in [the guide](guides/faults.md).
"""


def page(promises: Sequence[Promise], results: dict[int, list[Result]]) -> str:
    states = Counter(state_of(one, results.get(one.number, [])) for one in promises)
    counted = ", ".join(f"{states[state]} {state}" for state in State if states[state])
    lines = [
        HEAD,
        f"Of {len(promises)} promises: {counted}.\n",
        "| # | promise | figure to reach | state | trials | command |",
        "|---|---|---|---|---|---|",
        *(row(one, results.get(one.number, [])) for one in promises),
        "\n## Runs\n",
        *(line for one in promises for line in section(one, results.get(one.number, []))),
    ]
    return "\n".join(lines).rstrip() + "\n"


def row(promise: Promise, results: Sequence[Result]) -> str:
    state = state_of(promise, results)
    trials = ", ".join(f"{one.trials:,}".replace(",", " ") for one in results) or "–"
    unit = f"{trials} {promise.unit}" if results else trials
    ours = f"make test-faults ONLY={promise.number}"
    commands = {ours if one.command.startswith(ours) else one.command for one in results} or (
        {ours} - {promise.missing and ours}
    )
    command = ", ".join(f"`{one}`" for one in sorted(commands)) or "–"
    cells = (
        str(promise.number),
        promise.promise,
        promise.figure,
        f"**{state}**{remark(promise, results)}",
        unit,
        command,
    )
    return "| " + " | ".join(cells) + " |"


def remark(promise: Promise, results: Sequence[Result]) -> str:
    """What belongs beside the state: the bound, the failures, the missing part."""
    state = state_of(promise, results)
    if state is State.OPEN:
        return f": {promise.missing or 'no run is recorded'}"
    if state is State.NOT_HELD:
        return f": {sum(one.failures for one in results)} failed"
    if state is State.BOUNDED:
        left_out = [one for one in (promise.short_of, *promise.untried(results)) if one]
        without = f"; without {', '.join(left_out)}" if left_out else ""
        return f": < {max(one.bound for one in results):.2g} of the {promise.unit} fail{without}"
    return ""


def section(promise: Promise, results: Sequence[Result]) -> Iterator[str]:
    if not results:
        return
    yield f"### {promise.number}. {promise.promise}\n"
    yield f"{promise.test[0].upper()}{promise.test[1:]}.\n"
    for one in results:
        of = f" of {needed}" if (needed := promise.needed(one)) > one.trials else ""
        yield (
            f"- {one.title}: {one.trials}{of} {promise.unit}, {one.failures} failed; seed {one.seed}, {one.started[:10]}, "
            f"{one.seconds:.0f} s, commit `{one.commit}`, `{one.command}`"
        )
        if one.figures:
            yield f"  - {', '.join(f'{name} {shown(value)}' for name, value in one.figures.items())}"
        if one.notes:
            yield f"  - {one.notes}"
    yield ""


def shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is stale")
    options = parser.parse_args(arguments)
    text = page(read_promises(), read_results())
    if not options.check:
        PAGE.write_text(text, "utf-8")
        return 0
    stale = not PAGE.is_file() or PAGE.read_text("utf-8") != text
    if stale:
        sys.stderr.write(f"stale: {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}\n")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
