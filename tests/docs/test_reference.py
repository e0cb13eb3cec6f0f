"""The generated reference is checked against the code, and what is stale is named."""

import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
GENERATE = [sys.executable, str(ROOT / "docs" / "generate.py")]


def check(reference: Path, *pages: str) -> "subprocess.CompletedProcess[str]":
    only = [part for page in pages for part in ("--only", page)]
    command = [*GENERATE, "--check", "--reference", str(reference), *only]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_stale_and_a_missing_page_are_named_with_what_mends_them(tmp_path: Path) -> None:
    copy = tmp_path / "reference"
    shutil.copytree(REFERENCE, copy)
    edited, gone, untouched = copy / "metrics.md", copy / "cli.md", copy / "algorithms.md"
    edited.write_text(edited.read_text("utf-8") + "an edit by hand\n", "utf-8")
    gone.unlink()
    found = check(copy, edited.name, gone.name, untouched.name)
    assert found.returncode == 1
    assert f"stale: {edited}" in found.stderr
    assert f"stale: {gone}" in found.stderr
    assert str(untouched) not in found.stderr
    assert "make generate" in found.stderr


@pytest.fixture(scope="module")
def problems() -> dict[str, dict[str, list[int]]]:
    """Statuses by slug, by section of the page."""
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in (REFERENCE / "problems.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("## "):
            section = line
        elif line.startswith("| `"):
            found[section][cells[0].strip("`")].append(int(cells[1]))
    return found


def test_a_slug_names_one_problem_of_a_package(problems: dict[str, dict[str, list[int]]]) -> None:
    twice = [slug for section in problems.values() for slug, statuses in section.items() if len(statuses) > 1]
    assert problems
    assert twice == []


def test_a_slug_of_two_packages_has_one_status(problems: dict[str, dict[str, list[int]]]) -> None:
    statuses: defaultdict[str, set[int]] = defaultdict(set)
    for section in problems.values():
        for slug, found in section.items():
            statuses[slug].update(found)
    assert {slug: found for slug, found in statuses.items() if len(found) > 1} == {}
