"""Real parts for the data plane's tests: packages, a publisher with its own key, Valkey, and ml-service as a process."""
# pyright: reportUnknownMemberType=false
# redis-py leaves some keyword arguments untyped.

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
import numpy as np
import pytest
import redis
from mill_contracts.ids import new_id
from mill_contracts.recipe import Framework, Recipe, Task
from mill_contracts.routing import (
    SNAPSHOT_CHANNEL,
    SNAPSHOT_KEY,
    ApiKeyEntry,
    ReplicaReport,
    Route,
    RoutingSnapshot,
    SignedSnapshot,
    snapshot_object_key,
)
from mill_contracts.tables import ColumnKind
from mill_contracts.tokens import AUDIENCE, ISSUER
from mill_kit import signing
from mill_kit.store.folder import FileStore
from mill_local.valkey import CACHE, ValkeyServer
from mill_pack import (
    UPLOADED,
    EncodingStyle,
    EnginePayload,
    ManifestDraft,
    Postprocessing,
    fit_encoder,
    golden_rows,
    linear_payload,
    write_package,
)
from mill_pack.engines.tensors import pack

DEADLINE_SECONDS = 30.0
ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}

Reach = Callable[..., Any]


@pytest.fixture(scope="session")
def reach() -> Reach:
    """Poll a condition until it holds; a failing one says what it was last."""

    def poll(condition: Callable[[], Any], seconds: float = DEADLINE_SECONDS) -> Any:
        deadline, seen = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            seen = condition()
            if seen:
                return seen
            time.sleep(0.02)
        raise AssertionError(f"not reached in {seconds} s; last seen: {seen!r}")

    return poll


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """The same on the event loop, which goes on meanwhile."""

    async def poll(condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "not reached"
            await asyncio.sleep(0.001)

    return poll


@dataclass(frozen=True)
class BuiltPackage:
    path: Path
    model_id: UUID
    version_id: UUID
    name: str
    version: int

    @property
    def sha256(self) -> str:
        return sha256(self.path.read_bytes()).hexdigest()


Build = Callable[..., BuiltPackage]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A small classifier of three inputs; `bias` tells two versions apart; many `hidden` layers make it slow, wide ones large.

    `uploaded`: as if it had been trained elsewhere.
    """
    folder = tmp_path_factory.mktemp("built")
    columns = {
        "age": np.linspace(17, 90, 60),
        "hours": np.where(np.arange(60) % 7 == 0, np.nan, np.linspace(5, 60, 60)),
        "city": np.array([["Oslo", "Bergen", "Tromsø"][row % 3] for row in range(60)], dtype=object),
    }
    kinds = {"age": ColumnKind.NUMBER, "hours": ColumnKind.NUMBER, "city": ColumnKind.STRING}
    recipe = Recipe(
        task=Task.CLASSIFICATION, framework=Framework.SKLEARN, algorithm="logistic_regression", target="income"
    )
    encoder = fit_encoder(columns, kinds, recipe, EncodingStyle(categories="one_hot", needs_imputation=True))

    def make(
        name: str,
        version: int = 1,
        bias: float = 0.0,
        model_id: UUID | None = None,
        hidden: tuple[int, ...] = (),
        uploaded: bool = False,
    ) -> BuiltPackage:
        model, version_id = model_id or new_id(), new_id()
        weights = np.zeros((1, encoder.width))
        weights[0, 0] = 0.001
        payload = perceptron(encoder.width, hidden, bias) if hidden else linear_payload(weights, np.array([bias]))
        draft = ManifestDraft(
            model_id=str(model),
            model_version_id=str(version_id),
            name=name,
            version=version,
            task=Task.CLASSIFICATION,
            target="income",
            classes=("<=50K", ">50K"),
            postprocessing=Postprocessing(low_confidence_below=0.6),
            lineage={"origin": UPLOADED} if uploaded else {},
        )
        path = folder / f"{version_id}.mill"
        write_package(
            path,
            draft=draft,
            encoder=encoder,
            payload=payload,
            golden_rows=golden_rows(encoder, columns),
        )
        return BuiltPackage(path, model, version_id, name, version)

    return make


def perceptron(width: int, hidden: tuple[int, ...], bias: float) -> EnginePayload:
    numbers = np.random.default_rng(1)
    sizes = (width, *hidden, 1)
    layers = [(numbers.normal(0, before**-0.5, (before, after)), np.zeros(after)) for before, after in pairwise(sizes)]
    arrays = [array for layer in layers for array in layer]
    arrays[-1][:] = bias
    return EnginePayload("mlp", {"mlp.f64": pack({"engine": "mlp", "activation": "tanh"}, arrays)})


@dataclass
class ControlPlane:
    """What the api-server does for the data plane: keys, packages in the store, signed snapshots, announcements."""

    folder: Path
    store: FileStore
    key: signing.KeyPair = field(default_factory=signing.new_key_pair)
    tokens: signing.KeyPair = field(default_factory=signing.new_key_pair)
    number: int = 0
    routes: list[Route] = field(default_factory=list[Route])
    keys: list[ApiKeyEntry] = field(default_factory=list[ApiKeyEntry])

    def __post_init__(self) -> None:
        for name, pair in (("publish", self.key), ("tokens", self.tokens)):
            (self.folder / f"{name}.pem").write_text(pair.public_pem)
            (self.folder / f"{name}-private.pem").write_text(pair.private_pem)

    def route(self, package: BuiltPackage, workspace: UUID, **changes: Any) -> Route:
        """Upload the package and make the route to it; it is not published yet."""
        key = f"models/{package.version_id}/{new_id()}/model.mill"
        info = self.store.put_file(key, package.path)
        found = Route(
            model_id=package.model_id,
            model_version_id=package.version_id,
            workspace_id=workspace,
            name=package.name,
            version=package.version,
            object_key=key,
            sha256=info.sha256,
            size=info.size,
        )
        return found.model_copy(update=changes)

    def api_key(self, workspace: UUID, **changes: Any) -> str:
        secret = f"mm_{new_id().hex}{new_id().hex}"
        entry = ApiKeyEntry(
            key_id=new_id(),
            workspace_id=workspace,
            user_id=new_id(),
            sha256=sha256(secret.encode()).hexdigest(),
            scopes=("predict",),
        )
        self.keys.append(entry.model_copy(update=changes))
        return secret

    def token(self, workspace: UUID, **claims: Any) -> str:
        now = datetime.now(UTC)
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(new_id()),
            "tid": str(workspace),
            "role": "user",
            "iat": now,
            "exp": now + timedelta(minutes=10),
            "jti": str(new_id()),
        }
        headers = {"typ": claims.pop("typ", "at+jwt")}
        key = signing.load_private_key(self.folder / "tokens-private.pem")
        return jwt.encode({**payload, **claims}, key, algorithm="EdDSA", headers=headers)

    def signed(self, number: int, pair: signing.KeyPair | None = None) -> bytes:
        """The snapshot of what is deployed now, under `number`."""
        private_file = self.folder / "publish-private.pem"
        if pair is not None:
            private_file = self.folder / "other-private.pem"
            private_file.write_text(pair.private_pem)
        key = signing.load_private_key(private_file)
        snapshot = RoutingSnapshot(
            number=number, issued_at=datetime.now(UTC), routes=tuple(self.routes), api_keys=tuple(self.keys)
        )
        payload = snapshot.model_dump_json()
        document = SignedSnapshot(
            key_id=signing.key_id(key.public_key()), payload=payload, signature=signing.sign(payload, key)
        )
        return document.model_dump_json().encode()

    def publish(self, announce: "redis.Redis | None" = None, *, store: bool = True) -> int:
        self.number += 1
        data = self.signed(self.number)
        if store:
            self.store.put(snapshot_object_key(self.number), data)
        if announce is not None:
            announce.set(SNAPSHOT_KEY, data)
            announce.publish(SNAPSHOT_CHANNEL, data)
        return self.number


@pytest.fixture(scope="session")
def control_plane() -> Callable[[Path], ControlPlane]:
    """One for a folder, for tests that share a replica."""
    return lambda folder: ControlPlane(folder, FileStore(folder / "objects"))


@pytest.fixture
def control(tmp_path: Path, control_plane: Callable[[Path], ControlPlane]) -> ControlPlane:
    return control_plane(tmp_path)


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer.temporary(settings=CACHE) as server:
        yield server


@pytest.fixture
def cache(valkey: ValkeyServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
        yield client


@dataclass
class Replica:
    """A running ml-service."""

    process: "subprocess.Popen[bytes]"
    http: httpx.Client
    log: Path

    def predict(self, model: str, key: str | None = None, **body: Any) -> httpx.Response:
        headers = {"x-api-key": key} if key else {}
        return self.http.post(f"/predict/{model}", json={"input_data": ROW, **body}, headers=headers)

    def number(self) -> int:
        return self.http.get("/stats").json()["global"]["snapshot_number"]

    def metric(self, line: str) -> float:
        """The value of one line of /metrics, 0 when it is not there."""
        text = self.http.get("/metrics").text
        found = [row.rpartition(" ")[2] for row in text.splitlines() if row.rpartition(" ")[0] == line]
        return float(found[0]) if found else 0.0

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


Start = Callable[..., Any]


@pytest.fixture(scope="session")
def launch() -> Start:
    """`with launch(folder, MILL_…=…) as replica`: the service as a process on `folder`, with the keys that lie in it."""

    @contextmanager
    def run(
        folder: Path, redis_url: str | None = None, store: bool = True, port: int = 0, **variables: str
    ) -> Generator[Replica]:
        keys = {"MILL_TOKENS__PUBLIC_KEY_FILE": "tokens.pem", "MILL_PUBLISH__PUBLIC_KEY_FILE": "publish.pem"}
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MILL_")},
            "MILL_ENVIRONMENT": "test",
            "MILL_STORE__POLL_SECONDS": "0.05",
            "MILL_SERVING__CACHE_DIR": str(folder / "serving"),
            "MILL_SERVING__REPLICA": "replica-1",
            "MILL_SERVING__RETRY_SECONDS": "0.2",
            "MILL_SERVING__DRAIN_SECONDS": "0.3",
            **{name: str(folder / file) for name, file in keys.items() if (folder / file).exists()},
            **({"MILL_STORE__URL": f"file://{folder / 'objects'}"} if store else {}),
            **({"MILL_CACHE__URL": redis_url} if redis_url else {}),
            **variables,
        }
        log = folder / "ml-service.log"
        port = port or _free_port()
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "mill_serving", "serve", "--port", str(port)], env=environment, stderr=output
            )
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            replica = Replica(process, client, log)
            try:
                _await_live(replica)
                yield replica
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()

    return run


@pytest.fixture
def start(tmp_path: Path, control: ControlPlane, launch: Start) -> Start:
    """A replica that believes `control`."""
    return partial(launch, tmp_path)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    return _free_port


def report_of(cache: redis.Redis) -> ReplicaReport | None:
    data = cache.get("mill:replica:replica-1")
    return ReplicaReport.model_validate_json(data) if isinstance(data, bytes) else None


@pytest.fixture(scope="session")
def read_report() -> Callable[[redis.Redis], ReplicaReport | None]:
    return report_of


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_live(replica: Replica) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if replica.process.poll() is not None:
            raise AssertionError(f"ml-service ended: {replica.log.read_text()[-4000:]}")
        try:
            replica.http.get("/health/live")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"ml-service did not start: {json.dumps(replica.log.read_text()[-4000:])}")
