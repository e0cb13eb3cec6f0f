"""What the tests of the stack's files share: the repository's root, the parsed compose file, the tools from the distribution."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def compose(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "docker-compose.yml").read_text())


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return compose["services"]


@pytest.fixture(scope="session")
def nginx() -> str:
    return _tool("nginx", "nginx")


@pytest.fixture(scope="session")
def promtool() -> str:
    return _tool("promtool", "prometheus")


def _tool(name: str, package: str) -> str:
    """`.ci/run` installs these; elsewhere the reason for the skip says what to install."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {package} (.ci/run does it)")
    return found
