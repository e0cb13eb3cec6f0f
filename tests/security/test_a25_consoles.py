"""A25: only the edge is reachable from outside, no console has a default password, and nothing starts with a weak secret."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from mill_api.settings import Settings
from pydantic import ValidationError

from tests.conftest import Stack
from tests.security.evidence import ROOT, Evidence

TESTS = "test_a25_consoles.py"
LOOPBACKS = {"0100007F", "00000000000000000000000001000000"}
GOOD = "5f2c9d1e7a3b48f6a0d4c8e1"


def listening(pids: set[int]) -> dict[int, set[str]]:
    """The addresses, in the kernel's hexadecimal, on which each process of `pids` accepts connections."""
    owners: dict[str, int] = {}
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                found = re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink()))
            except OSError:
                continue
            if found:
                owners[found[1]] = pid
    sockets: dict[int, set[str]] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and cells[9] in owners:
                sockets.setdefault(owners[cells[9]], set()).add(cells[1].split(":")[0])
    return sockets


def test_the_embedded_stack_listens_to_this_machine_alone(stack: Stack) -> None:
    evidence = Evidence(35, "Only nginx can be reached: what the embedded stack listens on", TESTS)
    pids = {part.pid for part in stack.state().parts if part.pid}
    found = listening(pids)
    assert len(found) >= 4, "the servers and both services listen"
    for addresses in found.values():
        evidence.count(failed=not addresses <= LOOPBACKS)
    evidence.keep()
    assert set().union(*found.values()) <= LOOPBACKS


def test_compose_publishes_the_edge_and_binds_every_console_to_this_machine() -> None:
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name, service in services.items():
        for port in service.get("ports", []):
            default = re.fullmatch(r"\$\{[A-Z_]+:-([^}]+)\}:\d+", port)
            assert default, (name, port)
            if name != "nginx":
                assert default[1].startswith("127.0.0.1:"), (name, port)
        if name in {"postgres", "broker", "cache", "minio", "elasticsearch", "api-server", "ml-service"}:
            assert "ports" not in service, name
        assert service.get("network_mode") in {None, "none"}, name


def test_nginx_sends_nobody_to_a_console() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "nginx").glob("*.conf"))
    for console in ("flower", "grafana", "prometheus", "kibana", "minio", "5555", "9090", "3000", "9000", "5601"):
        assert not re.search(rf"proxy_pass[^;]*{console}", text), console


@pytest.mark.parametrize("weak", ["", "flower", "password", "short", "changeme-changeme", "admin:password"])
def test_flower_does_not_start_with_a_weak_password(weak: str) -> None:
    """Its start is refused either by the settings or by the command."""
    environment = {
        "PATH": os.environ["PATH"],
        "MILL_BROKER__URL": f"redis://:{GOOD}@127.0.0.1:9/0",
        "MILL_FLOWER_PASSWORD": weak,
    }
    command = [sys.executable, "-m", "mill_api", "flower", "--port", "0"]
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False, text=True)
    assert ended.returncode != 0
    assert weak in {"", "flower", "password", "short"} or weak not in ended.stderr
    assert f"input_value='{weak}'" not in ended.stderr


def settings(**changes: str) -> dict[str, Any]:
    secrets = {"database": GOOD, "system": GOOD, "broker": GOOD, "cache": GOOD, "store": GOOD} | changes
    return {
        "environment": "production",
        "database": {
            "url": f"postgresql://mill_app:{secrets['database']}@db/x",
            "system_url": f"postgresql://mill_system:{secrets['system']}@db/x",
        },
        "broker": {"url": f"redis://:{secrets['broker']}@broker/0"},
        "cache": {"url": f"redis://:{secrets['cache']}@cache/0"},
        "store": {"url": "s3://minio:9000/b?secure=false", "access_key": "key", "secret_key": secrets["store"]},
        "tokens": {"private_key_file": "/run/t"},
        "publish": {"private_key_file": "/run/p"},
        "serving": {"url": "http://ml"},
    }


@pytest.mark.parametrize("secret", ["database", "system", "broker", "cache", "store"])
@pytest.mark.parametrize(
    "weak", ["", "postgres", "minioadmin", "password1234", "x7Kq2mZ", "changeme-changeme", "Secret-Of-12345"]
)
def test_no_service_starts_with_an_empty_or_default_secret(secret: str, weak: str) -> None:
    Settings.model_validate(settings())
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(settings(**{secret: weak}))
    assert weak == "" or weak not in str(refused.value)
