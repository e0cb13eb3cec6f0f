"""The three images: ordinary users, no compiler at run time, and no ML library in the control plane."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

LIBRARIES = {
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "xgboost",
    "xgboost-cpu",
    "lightgbm",
    "duckdb",
    "pyarrow",
    "onnxruntime",
}
ML = LIBRARIES | {"skops", "mill-pack", "mill-forest", "mill-trainer"}
DOCKERFILES = ("api-server/Dockerfile", "trainer/Dockerfile", "ml-service/Dockerfile")


def locked(root: Path, *members: str) -> set[str]:
    """The distributions that `uv sync --package …` of a Dockerfile installs, from the lock file."""
    uv = shutil.which("uv") or str(root / ".uv/bin/uv")
    chosen = [word for member in members for word in ("--package", member)]
    command = [uv, "export", "--frozen", "--no-dev", "--no-hashes", "--no-annotate", "--no-header", *chosen]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    names: set[str] = set()
    for line in done.stdout.splitlines():
        if line.startswith(("-e ", "./")):
            folder = root / line.removeprefix("-e ").split(" ;")[0].strip()
            found = re.search(r'^name = "(.+)"$', (folder / "pyproject.toml").read_text(), re.MULTILINE)
            assert found, line
            names.add(found[1])
        elif line.strip():
            names.add(re.split(r"[=\[; ]", line)[0].lower())
    return names


def test_the_api_server_image_holds_no_ml_library(root: Path) -> None:
    names = locked(root, "mill-api")
    assert {"mill-api", "mill-kit", "fastapi", "celery"} <= names
    assert not names & ML


def test_the_data_plane_holds_neither_sql_nor_celery_nor_trainer(root: Path) -> None:
    names = locked(root, "mill-serving")
    assert {"mill-serving", "mill-pack", "xgboost-cpu"} <= names
    assert not names & {"sqlalchemy", "asyncpg", "celery", "flower", "duckdb", "mill-trainer", "mill-api"}


def test_the_worker_is_the_api_server_and_the_trainer(root: Path) -> None:
    names = locked(root, "mill-api", "mill-trainer")
    assert {"mill-api", "mill-trainer", "duckdb", "lightgbm"} <= names
    assert not names & {"mill-serving", "mill-local", "pytest"}


@pytest.mark.parametrize("path", DOCKERFILES)
def test_an_image_runs_as_an_ordinary_user_from_a_stage_without_compiler(root: Path, path: str) -> None:
    text = (root / path).read_text()
    final = text.rsplit("\nFROM ", 1)[1]
    assert re.findall(r"^USER (.+)$", final, re.MULTILINE) == ["10001:10001"]
    assert not re.search(r"\b(gcc|g\+\+|build-essential|libc6-dev|/uv)\b", final)
    assert "COPY --from=builder /app/.venv /app/.venv" in final


@pytest.mark.parametrize("path", DOCKERFILES)
def test_an_image_builds_with_old_engines_and_another_base(root: Path, path: str) -> None:
    text = (root / path).read_text()
    assert not text.lower().startswith("# syntax")
    assert "<<" not in text
    assert "--mount" not in text
    assert text.count("FROM ${PYTHON_IMAGE}") == text.count("FROM ") == 2
    for sync in re.findall(r"uv sync (.+)", text):
        assert "--frozen --no-dev --package" in sync
        assert "--no-editable" in sync or "--no-install-workspace" in sync


@pytest.mark.parametrize("path", DOCKERFILES)
def test_everything_an_image_copies_is_let_into_its_context(root: Path, path: str) -> None:
    allowed = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", (root / path).read_text(), re.MULTILINE):
        for source in sources.split():
            assert (root / source).exists(), source
            assert source in allowed or any(one.startswith(f"{source}/") for one in allowed), source


def test_neither_secrets_nor_data_get_into_the_context(root: Path) -> None:
    lines = (root / ".dockerignore").read_text().splitlines()
    assert "**" in lines
    assert not [line for line in lines if re.match(r"!.*(\.env|secrets|\.modelmill|backups|\.git|tests)", line)]
