"""The Open Inference Protocol over HTTP, everything under `/v2`. Bodies are read whatever their Content-Type says.

Tensors may be JSON or bytes, both ways. Every refusal, also of a wrong address or method, is `{"error": "…"}`.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from urllib.parse import unquote

import msgspec
from mill_kit.http.health import Health
from mill_kit.problems import Problem
from starlette.types import ASGIApp, Receive, Scope, Send

from mill_serving.doors.doorway import Call, Doorway, Reply
from mill_serving.doors.http import JSON_LINES, Answered, Headers, read_headers
from mill_serving.doors.tables.forms import Caps
from mill_serving.doors.v2 import describe
from mill_serving.doors.v2.framing import read_numbers, read_request, render
from mill_serving.doors.v2.inference import infer, infer_quickly
from mill_serving.doors.v2.repository import find, find_managed
from mill_serving.engine import Engine
from mill_serving.errors import MalformedTensor, NoSuchAddress
from mill_serving.intake import Intake
from mill_serving.packages import LoadedModel
from mill_serving.targets import Target

_PREFIX = b"/v2"
_LENGTH = b"inference-header-content-length"
_BINARY = b"application/octet-stream"
_SMALL_BODY = 1 << 12
_MOST_PATHS, _LONGEST_KEPT = 10_000, 300
_encode = msgspec.json.Encoder().encode

Action = Literal[
    "server", "live", "health", "models", "all_stats", "index", "load", "unload",
    "metadata", "ready", "infer", "config", "stats", "nothing",
]  # fmt: skip
_OF_MODEL: dict[bytes, Action] = {b"ready": "ready", b"infer": "infer", b"config": "config", b"stats": "stats"}
_FIXED: dict[tuple[bytes, ...], Action] = {
    (): "server",
    (b"health", b"live"): "live",
    (b"health", b"ready"): "health",
    (b"models",): "models",
    (b"models", b"stats"): "all_stats",
    (b"repository", b"index"): "index",
}
_ROUTES: dict[Action, str] = {
    "server": "/v2",
    "live": "/v2/health/live",
    "health": "/v2/health/ready",
    "models": "/v2/models",
    "all_stats": "/v2/models/stats",
    "index": "/v2/repository/index",
    "load": "/v2/repository/models/{model}/load",
    "unload": "/v2/repository/models/{model}/unload",
    "metadata": "/v2/models/{model}",
    "ready": "/v2/models/{model}/ready",
    "infer": "/v2/models/{model}/infer",
    "config": "/v2/models/{model}/config",
    "stats": "/v2/models/{model}/stats",
    "nothing": "unmatched",
}
_POSTED = frozenset({"index", "load", "unload", "infer"})


@dataclass(frozen=True, slots=True)
class Address:
    action: Action
    name: str = ""
    version: str = ""


def address_of(path: bytes) -> Address:
    """`/v2/models/a%2Fb/versions/3/infer`; a name may hold slashes, encoded or not."""
    segments = tuple(path[len(_PREFIX) :].strip(b"/").split(b"/")) if len(path.rstrip(b"/")) > len(_PREFIX) else ()
    if segments in _FIXED:
        return Address(_FIXED[segments])
    match segments:
        case (b"repository", b"models", *name, (b"load" | b"unload") as last) if name:
            return Address("load" if last == b"load" else "unload", _text(name))
        case (b"models", *rest) if rest:
            action = _OF_MODEL.get(rest[-1]) if len(rest) > 1 else None
            name = rest[:-1] if action else rest
            if len(name) > 2 and name[-2] == b"versions":
                return Address(action or "metadata", _text(name[:-2]), _text(name[-1:]))
            return Address(action or "metadata", _text(name))
        case _:
            return Address("nothing")


@dataclass(frozen=True)
class InferenceDoor:
    """A side door of the front."""

    engine: Engine
    doorway: Doorway
    caps: Caps
    health: Health
    _addresses: dict[bytes, Address] = field(default_factory=dict[bytes, Address])

    def at(self, path: bytes) -> ASGIApp | None:
        if path != _PREFIX and not path.startswith(_PREFIX + b"/"):
            return None
        address = address_of(path)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def handle(call: Call) -> Reply:
                if address.action != "nothing":
                    call.allow(*(("POST",) if address.action in _POSTED else ("GET", "HEAD")))
                return await self._handlers[address.action](call, address)

            route = _ROUTES[address.action]
            await self.doorway.serve(scope, receive, send, route=route, handle=handle, refuse=_refuse)

        return app

    @cached_property
    def _handlers(self) -> dict[Action, Callable[[Call, Address], Awaitable[Reply]]]:
        return {
            "server": self._server, "live": self._live, "health": self._health, "models": self._models,
            "all_stats": self._all_stats, "index": self._index, "load": self._load, "unload": self._unload,
            "metadata": self._metadata, "ready": self._ready, "infer": self._infer, "config": self._config,
            "stats": self._stats, "nothing": self._nothing,
        }  # fmt: skip

    async def _server(self, _call: Call, _address: Address) -> Reply:
        return _json(describe.server(self.health.version))

    async def _live(self, _call: Call, _address: Address) -> Reply:
        return _json({"live": True})

    async def _health(self, _call: Call, _address: Address) -> Reply:
        ready = await self.health.is_ready()
        return _json({"ready": ready}, 200 if ready else 503)

    async def _models(self, call: Call, _address: Address) -> Reply:
        return _json({"models": sorted({target.name for target in self.engine.visible(call.secret)})})

    async def _all_stats(self, call: Call, _address: Address) -> Reply:
        return _json(describe.statistics(self.engine, self.engine.visible(call.secret)))

    async def _index(self, call: Call, _address: Address) -> Reply:
        asked = _object(await call.body())
        targets = self.engine.visible(call.secret)
        return _json(describe.index(self.engine, targets, ready_only=asked.get("ready") is True))

    async def _load(self, call: Call, address: Address) -> Reply:
        """The files of a model come from its deployment alone: parameters that bring others are not read."""
        await self.engine.load_everywhere(find_managed(self.engine, address.name, call.secret))
        return _json({})

    async def _unload(self, call: Call, address: Address) -> Reply:
        await self.engine.unload(find_managed(self.engine, address.name, call.secret))
        return _json({})

    async def _metadata(self, call: Call, address: Address) -> Reply:
        target, loaded = await self._loaded(call, address)
        versions = describe.versions(self.engine, target, call.secret)
        return _json(describe.metadata(target, loaded, versions))

    async def _ready(self, call: Call, address: Address) -> Reply:
        target = find(self.engine, address.name, address.version, call.secret)
        ready = describe.is_ready(self.engine, target)
        return _json({"name": target.name, "ready": ready}, 200 if ready else 503)

    async def _config(self, call: Call, address: Address) -> Reply:
        target, loaded = await self._loaded(call, address)
        return _json(describe.config(target, loaded))

    async def _stats(self, call: Call, address: Address) -> Reply:
        target = find(self.engine, address.name, address.version, call.secret)
        return _json(describe.statistics(self.engine, [target]))

    async def _infer(self, call: Call, address: Address) -> Reply:
        target = find(self.engine, address.name, address.version, call.secret)
        body = await call.body()
        length = call.header(_LENGTH)

        def work(loaded: LoadedModel) -> tuple[int, Reply]:
            asked = read_request(body, length)
            found, outputs = infer(
                Intake(loaded.package, target.policy, self.engine.lane.spare), asked.inputs, asked.wanted, self.caps
            )
            payload, head = render(asked, target, found, outputs)
            if head is None:
                return len(found), Reply(payload, packable=True)
            framed = ((_LENGTH, b"%d" % head),)
            return len(found), Reply(payload, content_type=_BINARY, headers=framed, packable=True)

        return await self.engine.predict_block(
            target, work, form=_form(length), size=len(body), is_small=len(body) <= _SMALL_BODY
        )

    def answer_now(self, path: bytes, headers: Headers, body: bytes) -> Answered | None:
        """A short inference on numbers, answered and counted at once. None, and nothing counted, for all else."""
        begun = time.perf_counter()
        address, head = self._address(path), read_headers(headers, self.doorway.ids)
        if address.action != "infer" or head.is_special or len(body) > self.doorway.body_bytes:
            return None
        length = _plain_length(headers)
        if length is None:
            return None

        def work(loaded: LoadedModel) -> tuple[int, tuple[bytes, bytes]] | None:
            asked = read_numbers(body, length)
            if asked is None:
                return None
            found = infer_quickly(Intake(loaded.package, target.policy), asked.inputs, asked.wanted, self.caps)
            if found is None:
                return None
            payload, framed = render(asked, target, *found)
            lines = JSON_LINES if framed is None else b"content-type: %b\r\n%b: %d\r\n" % (_BINARY, _LENGTH, framed)
            return len(found[0]), (payload, lines)

        try:
            target = find(self.engine, address.name, address.version, head.secret)
        except Problem:
            return None
        done = self.engine.quick_block(target, _form(length), len(body), work)
        if done is None:
            return None
        self.doorway.statistics.answered("POST", _ROUTES["infer"], 200, time.perf_counter() - begun)
        return done[0], head.request_id, done[1]

    def _address(self, path: bytes) -> Address:
        found = self._addresses.get(path)
        if found is None:
            found = address_of(path) if path.startswith(_PREFIX + b"/") else Address("nothing")
            if len(path) <= _LONGEST_KEPT:
                if len(self._addresses) >= _MOST_PATHS:
                    self._addresses.clear()
                self._addresses[path] = found
        return found

    async def _nothing(self, _call: Call, _address: Address) -> Reply:
        raise NoSuchAddress("the Open Inference Protocol has no such address")

    async def _loaded(self, call: Call, address: Address) -> tuple[Target, LoadedModel]:
        target = find(self.engine, address.name, address.version, call.secret)
        return target, await self.engine.load(target)


def _form(length: bytes) -> str:
    """As the pace of a model knows it."""
    return "v2-binary" if length else "v2"


def _plain_length(headers: Headers) -> bytes | None:
    """Of the JSON before the tensors; empty where there are none. None where the answer is to be packed, which takes its time."""
    length = b""
    for name, value in headers:
        if name == _LENGTH:
            length = value
        elif name == b"accept-encoding" and value != b"identity":
            return None
    return length


def _json(document: Any, status: int = 200) -> Reply:
    return Reply(_encode(document), status, packable=True)


def _refuse(problem: Problem, _call: Call) -> Reply:
    return Reply(_encode({"error": problem.detail}), problem.status)


def _object(body: bytes) -> dict[str, Any]:
    """An empty body is an empty object. Raises `MalformedTensor`."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any]) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedTensor(f"the body is no JSON object: {error}") from None


def _text(segments: "tuple[bytes, ...] | list[bytes]") -> str:
    return unquote(b"/".join(segments).decode("latin-1"))
