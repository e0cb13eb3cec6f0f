"""A24: whoever reaches the broker cannot run code by it: no pickle, no forged job, no dangerous command, no way in without the password."""

# The client libraries are partly untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import base64
import io
import json
import pickle
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from mill_local.home import Home
from mill_local.valkey import DANGEROUS
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from tests.conftest import Stack, eventually
from tests.security.evidence import ROOT

SERVERS = ("broker", "cache")


class Explosive:
    """Writes a file where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.touch, (self.canary,))


def server(stack: Stack, name: str) -> Redis:
    port = next(part.port for part in stack.state().parts if part.name == name)
    password = (Home(stack.home.root).root / name / "secrets" / "valkey").read_text().strip()
    return Redis(host="127.0.0.1", port=int(port or 0), password=password, socket_timeout=10)


def message(body: bytes, content_type: str, encoding: str, task: str = "mill.wake") -> bytes:
    """As Celery lays it into a queue."""
    name = str(uuid.uuid4())
    properties = {
        "correlation_id": name,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "data"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    headers = {
        "lang": "py",
        "task": task,
        "id": name,
        "root_id": name,
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "origin": "x",
    }
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": encoding,
            "content-type": content_type,
            "headers": headers,
            "properties": properties,
        }
    ).encode()


def test_hostile_messages_run_nothing_and_the_worker_lives(stack: Stack, tmp_path: Path) -> None:
    canary = tmp_path / "executed"
    args = ([Explosive(canary)], {}, {})
    pickled = pickle.dumps(args)
    forged = json.dumps([[str(uuid.uuid4())], {}, {}]).encode()
    hostile = [
        message(pickled, "application/x-python-serialize", "binary"),
        message(pickled, "application/json", "binary"),
        message(
            b"!!python/object/apply:os.system ['touch " + str(canary).encode() + b"']", "application/x-yaml", "utf-8"
        ),
        message(pickled, "application/x-msgpack", "binary"),
        message(forged, "application/json", "utf-8"),
        message(forged, "application/json", "utf-8", task="os.system"),
        message(json.dumps([["../../etc/passwd"], {}, {}]).encode(), "application/json", "utf-8"),
        message(
            json.dumps([[{"__reduce__": "x"}], {}, {"chord": {"task": "mill.wake"}}]).encode(),
            "application/json",
            "utf-8",
        ),
    ]
    workers = {part.name: (part.pid, part.restarts) for part in stack.state().parts if part.name.startswith("worker")}
    with server(stack, "broker") as broker:
        for one in hostile:
            broker.lpush("data", one)
        eventually(lambda: broker.llen("data") == 0, 30, "the queue is empty")
    with stack.client(f"after-{uuid.uuid4().hex[:6]}") as mill:
        project = mill.projects.create("After the attack").id
        dataset = mill.datasets.upload(
            io.BytesIO(b"a,label\n1,x\n2,y\n3,x\n"), file_name="t.csv", name="t", project_id=project
        )
        eventually(lambda: mill.datasets.get(dataset.id).status == "ready", 60, "an upload is still profiled")
    assert not canary.exists()
    assert workers == {
        part.name: (part.pid, part.restarts) for part in stack.state().parts if part.name.startswith("worker")
    }


@pytest.mark.parametrize("name", SERVERS)
def test_without_the_password_nothing_is_answered(stack: Stack, name: str) -> None:
    with server(stack, name) as known:
        port = known.connection_pool.connection_kwargs["port"]
        for password in (None, "", "password", "redis", "x" * 1000):
            stranger = Redis(host="127.0.0.1", port=port, password=password, socket_timeout=10)
            with stranger, pytest.raises((AuthenticationError, ResponseError)):
                stranger.execute_command("LLEN", "data")


@pytest.mark.parametrize("name", SERVERS)
def test_the_commands_of_an_intruder_are_missing(stack: Stack, name: str) -> None:
    with server(stack, name) as known:
        for command in DANGEROUS:
            with pytest.raises(ResponseError, match="unknown command"):
                known.execute_command(command, "x")
        with pytest.raises(RedisError):
            known.execute_command("EVAL", "return io.open('/etc/passwd'):read('*a')", 0)
        with pytest.raises(RedisError):
            known.execute_command("EVAL", "return redis.call('CONFIG', 'GET', '*')", 0)


def test_the_compose_stack_lacks_the_same_commands() -> None:
    script = (ROOT / "deploy" / "valkey.sh").read_text()
    listed = re.search(r"for command in ([A-Z ]+);", script)
    assert listed
    assert set(listed[1].split()) == set(DANGEROUS)
    assert "requirepass $VALKEY_PASSWORD" in script
    assert "${VALKEY_PASSWORD:?}" in script
