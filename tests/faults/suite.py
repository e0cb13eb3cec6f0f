"""Promises that ordinary tests prove: run those tests and count them. A test may count more trials: `record_property("trials", n)`."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.faults.course import Course, Trial
from tests.faults.promises import ROOT, Promise, Result


def run_suite(course: Course, promise: Promise, full: int | None = None) -> list[Result]:
    """Every test once, or `repeat` times scaled; a skipped test is no trial and is named. `full` where it is not the promise's."""
    trial = Trial(course, promise.number, "the tests of the repository")
    trials = failures = 0
    skipped: list[str] = []
    for round_ in range(max(1, round(promise.repeat * course.scale))):
        report = course.folder / f"suite-{promise.number}-{round_}.xml"
        asked = course.trials(promise.number) if promise.counted_by else 1
        run_pytest(promise.tests, report, {promise.counted_by: str(asked)} if promise.counted_by else {})
        for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by pytest a moment ago
            if case.find("skipped") is not None:
                skipped.append(case.get("name", "?"))
                continue
            counted = [one.get("value") for one in case.iter("property") if one.get("name") == "trials"]
            trials += int(counted[0] or 1) if counted else asked
            failures += int(case.find("failure") is not None or case.find("error") is not None)
    notes = f"Skipped: {', '.join(sorted(set(skipped)))}." if skipped else ""
    if promise.needs and not at_hand(promise.needs):
        full, notes = trials + 1, f"{promise.needs} is not at hand. {notes}".strip()
    result = trial.result(trials, failures or int(trials == 0), notes=notes)
    return [result if full is None else replace(result, full=full)]


def at_hand(program: str) -> bool:
    return bool(os.environ.get(f"MILL_TEST_{program.upper()}") or shutil.which(program))


def run_pytest(tests: tuple[str, ...], report: Path, environment: Mapping[str, str]) -> None:
    """What pytest says goes to a log beside the report."""
    options = ("-q", "-p", "no:cacheprovider", "--no-header", f"--junitxml={report}", "-o", "junit_family=xunit2")
    command = [sys.executable, "-m", "pytest", *options, "-o", "timeout=900", *tests]
    given = {**os.environ, **environment}
    with report.with_suffix(".log").open("wb") as log:
        subprocess.run(command, cwd=ROOT, env=given, stdout=log, stderr=subprocess.STDOUT, check=False)
    if not report.is_file():
        raise ChildProcessError(f"pytest did not run: see {report.with_suffix('.log')}")
