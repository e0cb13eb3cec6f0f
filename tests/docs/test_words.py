"""What the guides name exists: settings, metrics, problem types, warnings, commands, verbs of make, tests that guard decisions."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from mill_api.datasets.handlers import PROFILE
from mill_api.deployments.handlers import SCORE
from mill_api.jobs.handlers import KindSettings
from mill_api.models.handlers import TRAIN

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    DOCS / "architecture.md",
    *sorted((DOCS / "guides").glob("*.md")),
]
DECISIONS = sorted((DOCS / "adr").glob("*.md"))


def read(*pages: Path) -> str:
    return "\n".join(page.read_text("utf-8") for page in pages)


def unknown(named: Iterable[str], known: Iterable[str]) -> list[str]:
    return sorted(set(named) - set(known))


def test_every_setting_that_is_named_exists() -> None:
    known = re.findall(r"`(MILL_\w+)`", read(DOCS / "reference" / "settings.md"))
    named = re.findall(r"\bMILL_(?!TEST_)[A-Z]+__[A-Z_]+[A-Z]\b", read(*PAGES, *DECISIONS))
    assert named
    assert unknown(named, known) == []


def test_every_metric_that_is_named_exists() -> None:
    known = re.findall(r"^\| `(\w+)`", read(DOCS / "reference" / "metrics.md"), re.MULTILINE)
    named = re.findall(
        r"`((?:mill|http|inference|model|snapshot|prediction)_\w+_(?:total|seconds|bytes))`", read(*PAGES)
    )
    assert named
    assert unknown(named, known) == []


def test_every_problem_type_that_is_named_exists() -> None:
    known = re.findall(r"^\| `([a-z0-9-]+)`", read(DOCS / "reference" / "problems.md"), re.MULTILINE)
    guides = read(*PAGES)
    tables = re.findall(r"\| (?:\d{3} )?((?:`[a-z0-9-]+`(?:, )?)+)(?:, saying what it is)? \|$", guides, re.MULTILINE)
    named = [slug for cells in tables for slug in re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", cells)]
    named += re.findall(r"urn:modelmill:problem:([a-z0-9-]+)", guides)
    assert "ragged-rows" in named
    assert unknown(named, known) == []


def test_every_warning_of_a_profile_is_explained() -> None:
    source = read(*sorted((ROOT / "trainer" / "mill_trainer" / "profile").glob("*.py")))
    codes = set(re.findall(r'(?:code=|_warn\()"([a-z0-9-]+)"', source))
    section = read(DOCS / "guides" / "datasets.md").partition("## Warnings")[2].partition("\n## ")[0]
    explained = {
        code for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for code in re.findall(r"`([^`]+)`", row)
    }
    assert explained == codes


@pytest.mark.parametrize("settings", [PROFILE, TRAIN, SCORE], ids=lambda settings: settings.kind.value)
def test_the_limits_of_each_kind_of_job_are_those_of_the_guide(settings: KindSettings) -> None:
    hours, memory = int(settings.timeout // 3600), settings.memory_bytes // 2**30
    row = f"| `{settings.kind}` | `{settings.queue}` | {settings.max_attempts} | {hours} h | {memory} GiB |"
    assert row in read(DOCS / "guides" / "jobs.md")


def test_every_command_that_is_named_exists() -> None:
    known = re.findall(r"^## modelmill (\S+)", read(DOCS / "reference" / "cli.md"), re.MULTILINE)
    named = re.findall(r"(?:^|`|bin/)modelmill ([a-z]+)(?=[ `\n])", read(*PAGES), re.MULTILINE)
    assert "up" in named
    assert unknown(named, known) == []


def test_every_verb_of_make_that_is_named_exists() -> None:
    known = re.findall(r"^([a-z0-9-]+):", read(ROOT / "Makefile"), re.MULTILINE)
    named = re.findall(r"(?:^|`)make ([a-z-]+)(?=[ `\n])", read(*PAGES, *DECISIONS), re.MULTILINE)
    assert "demo" in named
    assert unknown(named, known) == []


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: decision.stem)
def test_the_tests_that_guard_a_decision_exist(decision: Path) -> None:
    guards = read(decision).partition("uard")[2]
    for path, name in re.findall(r"`([\w./-]+/tests?/[\w./-]+|tests/[\w./-]+)(?:::(\w+))?`", guards):
        assert (ROOT / path).exists(), path
        assert not name or f"def {name}(" in (ROOT / path).read_text("utf-8"), name


def test_the_architecture_names_the_layers_that_are_checked() -> None:
    contracts = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract.get("containers") == ["mill_api"])
    assert f"`{' > '.join(layers)}`" in " ".join(read(DOCS / "architecture.md").split())


def test_every_decision_is_in_the_index() -> None:
    index = read(DOCS / "README.md")
    assert [path.name for path in DECISIONS if f"adr/{path.name}" not in index] == []
