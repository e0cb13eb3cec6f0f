"""A24: whoever reaches the broker cannot run code by it: no pickle, no forged job, no dangerous command, no way in without the password."""

# The client libraries are partly untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import base64
import io
import json
import pickle
import re
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from mill_local.home import Home
from mill_local.ports import free_port
from mill_local.valkey import DANGEROUS, binary
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


def test_a_wake_up_that_is_sent_again_runs_nothing_again(stack: Stack) -> None:
    """A job's id is all that a message holds, and the claim decides: a replayed, a finished and a foreign one start nothing."""
    with stack.client(f"replayed-{uuid.uuid4().hex[:6]}") as mill:
        project = mill.projects.create("Replayed").id
        data = io.BytesIO(b"a,label\n1,x\n2,y\n3,x\n")
        dataset = mill.datasets.upload(data, file_name="t.csv", name="t", project_id=project)
        eventually(lambda: mill.datasets.get(dataset.id).status == "ready", 60, "the upload is profiled")
        assert dataset.job_id is not None
        with server(stack, "broker") as broker:
            for queue in ("data", "ml", "general"):
                for _ in range(20):
                    broker.lpush(
                        queue, message(json.dumps([[dataset.job_id], {}, {}]).encode(), "application/json", "utf-8")
                    )
            eventually(lambda: not any(broker.llen(name) for name in ("data", "ml", "general")), 30, "queues are empty")
        job = mill.jobs.get(dataset.job_id)
        assert (job.state, job.attempt) == ("succeeded", 1)
        assert mill.datasets.get(dataset.id).version == 1


def control(method: str, **arguments: Any) -> bytes:
    """As Celery's remote control tells every worker: what Flower uses."""
    body = json.dumps({"method": method, "arguments": arguments, "destination": None, "pattern": None, "matcher": None})
    properties = {
        "delivery_mode": 2,
        "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    return json.dumps(
        {
            "body": base64.b64encode(body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"clock": 1, "expires": 4102444800.0},
            "properties": properties,
        }
    ).encode()


def test_whoever_holds_the_password_stops_workers_at_worst_and_loses_no_job(stack: Stack, tmp_path: Path) -> None:
    """Remote control can end a worker, as Flower may; it loads no module, and the supervisor and the ledger bring back the rest."""
    canary = tmp_path / "executed"
    evil = tmp_path / "evil.py"
    evil.write_text(f"from pathlib import Path\nPath({str(canary)!r}).touch()\n")
    told = [
        control("pool_restart", modules=["evil"], reload=True),
        control("pool_restart", modules=[str(evil)], reload=True, reloader="os.system"),
        control("election", id="1", topic="os.system", action="touch"),
        control("eval", code="1"),
        control("add_consumer", queue="elsewhere"),
        control("shutdown"),
    ]
    workers = {part.name: part.pid for part in stack.state().parts if part.name.startswith("worker")}
    with server(stack, "broker") as broker:
        for one in told:
            broker.publish("/0.celery.pidbox", one)

    def replaced() -> bool:
        now = {part.name: part.pid for part in stack.state().parts if part.name.startswith("worker")}
        return all(now[name] is not None and now[name] != pid for name, pid in workers.items())

    eventually(replaced, 60, "the workers were ended and started again")
    with stack.client(f"controlled-{uuid.uuid4().hex[:6]}") as mill:
        project = mill.projects.create("After remote control").id
        data = io.BytesIO(b"a,label\n1,x\n2,y\n3,x\n")
        dataset = mill.datasets.upload(data, file_name="t.csv", name="t", project_id=project)
        eventually(lambda: mill.datasets.get(dataset.id).status == "ready", 90, "an upload is still profiled")
    assert not canary.exists()


@pytest.mark.parametrize("kind", SERVERS)
def test_the_script_of_the_compose_stack_starts_a_server_that_is_shut(kind: str, tmp_path: Path) -> None:
    """`deploy/valkey.sh` itself, its two paths bent into a folder: what the containers run."""
    port, password = free_port(), uuid.uuid4().hex
    script = (ROOT / "deploy" / "valkey.sh").read_text()
    configuration = "/tmp/valkey.conf"  # noqa: S108 - the script's own, in a container
    for path, instead in (("/data", tmp_path / "data"), (configuration, tmp_path / "valkey.conf")):
        assert path in script
        script = script.replace(path, str(instead))
    script = script.replace('echo "bind 0.0.0.0"', f'echo "bind 127.0.0.1"; echo "port {port}"')
    (tmp_path / "data").mkdir()
    (tmp_path / "start.sh").write_text(script)
    environment = {"PATH": f"{binary().parent}:/usr/bin:/bin", "VALKEY_PASSWORD": password}
    command = ["/bin/sh", str(tmp_path / "start.sh"), kind]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        known = Redis(host="127.0.0.1", port=port, password=password, socket_timeout=10)
        eventually(lambda: _answers(known), 20, "the server answers who knows the password")
        with known, Redis(host="127.0.0.1", port=port, socket_timeout=10) as stranger:
            with pytest.raises(AuthenticationError):
                stranger.execute_command("LLEN", "data")
            for command_of_intruder in DANGEROUS:
                with pytest.raises(ResponseError, match="unknown command"):
                    known.execute_command(command_of_intruder, "x")
            told: dict[str, Any] = dict(known.info())  # pyright: ignore[reportArgumentType] - a synchronous client
            policy = {"broker": "noeviction", "cache": "allkeys-lru"}
            assert told["maxmemory_policy"] == policy[kind]
            assert told["aof_enabled"] == int(kind == "broker")
        assert (tmp_path / "valkey.conf").stat().st_mode & 0o077 == 0
        assert password not in Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.kill()
        process.wait(20)


def test_a_server_without_a_password_does_not_start(tmp_path: Path) -> None:
    command = ["/bin/sh", str(ROOT / "deploy" / "valkey.sh"), "broker"]
    for given in ({}, {"VALKEY_PASSWORD": ""}):
        ended = subprocess.run(
            command, env={"PATH": "/usr/bin:/bin", **given}, capture_output=True, text=True, check=False
        )
        assert ended.returncode != 0
        assert "VALKEY_PASSWORD" in ended.stderr


def _answers(server: Redis) -> bool:
    try:
        return bool(server.ping())
    except RedisError:
        return False
