"""Rules of the whole workspace that no linter has: the size of files and functions, and what the control plane's image may hold."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
EXCEPTIONS: dict[str, str] = {}
"""`path` or `path::function`, and why it is longer than the rule allows."""
TRAINERS_LIBRARIES = {"numpy", "scipy", "scikit-learn", "xgboost-cpu", "lightgbm", "duckdb", "pyarrow", "skops"}
ML_LIBRARIES = TRAINERS_LIBRARIES | {"xgboost", "pandas", "polars", "onnxruntime", "joblib"}


def product_files() -> list[Path]:
    """Every module of every member's package; tests and benchmarks are not product code."""
    members = [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("packages/*/pyproject.toml")]
    packages = [init.parent for member in members for init in member.parent.glob("*/__init__.py")]
    return [path for package in packages if package.name != "tests" for path in sorted(package.rglob("*.py"))]


def too_long(path: Path) -> Iterator[str]:
    name, text = path.relative_to(ROOT).as_posix(), path.read_text()
    if (lines := len(text.splitlines())) > LONGEST_FILE and name not in EXCEPTIONS:
        yield f"{name}: {lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION and f"{name}::{node.name}" not in EXCEPTIONS:
                yield f"{name}::{node.name}: {lines} lines"


def locked() -> dict[str, dict[str, Any]]:
    return {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}


def installed_with(name: str) -> set[str]:
    """What `uv export --no-dev --package NAME` lists: the locked dependencies with the extras that are asked for, on any system."""
    packages, found, ahead = locked(), set[tuple[str, str]](), [(name, "")]
    while ahead:
        package, extra = ahead.pop()
        if (package, extra) in found:
            continue
        found.add((package, extra))
        document = packages[package]
        needs = document.get("optional-dependencies", {}).get(extra, []) if extra else document.get("dependencies", [])
        for need in needs:
            ahead += [(need["name"], ""), *((need["name"], wanted) for wanted in need.get("extra", []))]
    return {package for package, _ in found}


def test_no_file_and_no_function_of_the_product_is_long() -> None:
    files = product_files()
    assert len(files) > 200
    assert [finding for path in files for finding in too_long(path)] == []


def test_every_exception_is_still_needed() -> None:
    for name in EXCEPTIONS:
        assert (ROOT / name.partition("::")[0]).is_file(), name


def test_the_control_plane_installs_no_ml_library() -> None:
    control_plane = installed_with("mill-api")
    assert {"mill-kit", "sqlalchemy", "minio", "celery"} <= control_plane
    assert not control_plane & (ML_LIBRARIES | {"mill-pack", "mill-forest", "mill-trainer", "mill-serving"})
    assert installed_with("mill-trainer") >= TRAINERS_LIBRARIES, "the lock knows them by other names"
