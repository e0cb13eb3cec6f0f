"""Rules that no import contract can say, read from the source."""

import ast
import re
from pathlib import Path

import mill_api
import pytest
from mill_api.access.tables import GLOBAL_TABLES
from mill_api.db import Row

SOURCE = Path(mill_api.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))


def _outside(folder: str) -> list[Path]:
    return [path for path in MODULES if path.relative_to(SOURCE).parts[0] != folder]


def test_only_db_commits() -> None:
    """One request, one transaction: code below the edge flushes. What else has a `commit` is the writer of an object."""
    for path in _outside("db"):
        commits = [node for node in ast.walk(ast.parse(path.read_text())) if _is_commit(node)]
        assert [ast.unparse(node) for node in commits if ast.unparse(node) != "writer.commit"] == [], path


def _is_commit(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "commit"


def test_global_tables_are_reached_through_access_alone() -> None:
    rows = {mapper.class_.__name__ for mapper in Row.registry.mappers if mapper.class_.__tablename__ in GLOBAL_TABLES}
    assert rows == {
        "UserRow",
        "CredentialRow",
        "RefreshFamilyRow",
        "RefreshTokenRow",
        "RevocationRow",
        "SetupCodeRow",
    }
    for path in _outside("access"):
        used = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not used & rows, path


@pytest.mark.parametrize("layer", ["service", "repository", "tables", "errors"])
def test_below_the_endpoints_nobody_knows_the_web_framework(layer: str) -> None:
    """A service may be called by a worker or a test; what streams a request says so by taking it."""
    for path in MODULES:
        if path.stem == layer:
            assert not re.search(r"from fastapi import (?!Request$)", path.read_text(), re.MULTILINE), path


def test_nothing_imports_the_helpers_of_tests() -> None:
    for path in MODULES:
        if path.stem != "testing":
            assert not re.search(r"^(from|import) mill_\w+(\.\w+)*\.testing", path.read_text(), re.MULTILINE), path
