# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportMissingTypeStubs=false
# grpcio ships no types; it is confined to this module.
"""`GRPCInferenceService` on a port of its own, on the same event loop and engine. Keys come as metadata, named as the headers are.

Calls are counted as `POST /inference/<Method>`, with the status their problem would have over HTTP.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from mill_kit.http.health import Health
from mill_kit.problems import Problem

from mill_serving.deadline import DEADLINE
from mill_serving.doors.doorway import foreseen
from mill_serving.doors.http import Head, RequestIds, read_headers
from mill_serving.doors.tables.forms import Caps
from mill_serving.doors.v2 import describe
from mill_serving.doors.v2.grpc import inference_pb2 as pb
from mill_serving.doors.v2.grpc.messages import message, response, tensors
from mill_serving.doors.v2.inference import infer
from mill_serving.doors.v2.repository import find, find_managed
from mill_serving.engine import Engine
from mill_serving.intake import Intake
from mill_serving.packages import LoadedModel

_SERVICE = "inference.GRPCInferenceService"
_GRACE_SECONDS = 2.0
_SMALL_BODY = 1 << 12
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}

Handler = Callable[[Any, Head], Awaitable[Message]]


@dataclass(frozen=True)
class GrpcDoor:
    """`run` is one of the service's background tasks."""

    engine: Engine
    health: Health
    caps: Caps
    address: str
    ids: RequestIds

    async def run(self) -> None:
        """Serve until cancelled; what runs then has a moment to end."""
        limit = ("grpc.max_receive_message_length", self.caps.body_bytes)
        server = grpc.aio.server(options=[limit, ("grpc.max_send_message_length", -1)])
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, self._methods()),))
        server.add_insecure_port(self.address)
        await server.start()
        try:
            await server.wait_for_termination()
        finally:
            await server.stop(_GRACE_SECONDS)

    def _methods(self) -> dict[str, Any]:
        plain: list[tuple[str, type[Message], Handler]] = [
            ("ServerLive", pb.ServerLiveRequest, self._live),
            ("ServerReady", pb.ServerReadyRequest, self._ready),
            ("ServerMetadata", pb.ServerMetadataRequest, self._server),
            ("ModelReady", pb.ModelReadyRequest, self._model_ready),
            ("ModelMetadata", pb.ModelMetadataRequest, self._metadata),
            ("ModelConfig", pb.ModelConfigRequest, self._config),
            ("ModelStatistics", pb.ModelStatisticsRequest, self._statistics),
            ("ModelInfer", pb.ModelInferRequest, self._infer),
            ("RepositoryIndex", pb.RepositoryIndexRequest, self._index),
            ("RepositoryModelLoad", pb.RepositoryModelLoadRequest, self._load),
            ("RepositoryModelUnload", pb.RepositoryModelUnloadRequest, self._unload),
        ]
        methods: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(
                self._answering(name, handler),
                request_deserializer=kind.FromString,
                response_serializer=_serialized,
            )
            for name, kind, handler in plain
        }
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self._stream, request_deserializer=pb.ModelInferRequest.FromString, response_serializer=_serialized
        )
        return methods

    def _answering(self, name: str, handler: Handler) -> Callable[[Any, Any], Awaitable[Message]]:
        async def answer(request: Any, context: Any) -> Message:
            problem, found = await self._tried(name, handler, request, context)
            if problem is not None:
                await context.abort(_CODES.get(problem.status, grpc.StatusCode.INTERNAL), problem.detail)
            return found

        return answer

    async def _tried(self, name: str, handler: Handler, request: Any, context: Any) -> tuple[Problem | None, Any]:
        begun = time.perf_counter()
        headers = [(key.encode(), _octets(value)) for key, value in context.invocation_metadata() or ()]
        head = read_headers(headers, self.ids)
        left: float | None = context.time_remaining()
        if left is not None:
            DEADLINE.set(begun + left)
        problem, found = None, None
        try:
            found = await handler(request, head)
        except Exception as error:
            problem = foreseen(error, f"/{_SERVICE}/{name}", head.request_id.decode())
        seconds = time.perf_counter() - begun
        self.engine.statistics.answered("POST", f"/inference/{name}", problem.status if problem else 200, seconds)
        return problem, found

    async def _stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Message]:
        """Each request is answered in its turn; a refusal is one answer, and the stream goes on."""
        async for request in requests:
            problem, found = await self._tried("ModelStreamInfer", self._infer, request, context)
            if problem is None:
                yield pb.ModelStreamInferResponse(infer_response=found)
            else:
                refused = pb.ModelInferResponse(id=request.id)
                yield pb.ModelStreamInferResponse(error_message=problem.detail, infer_response=refused)

    async def _live(self, _request: Any, _head: Head) -> Message:
        return pb.ServerLiveResponse(live=True)

    async def _ready(self, _request: Any, _head: Head) -> Message:
        return pb.ServerReadyResponse(ready=await self.health.is_ready())

    async def _server(self, _request: Any, _head: Head) -> Message:
        return message(pb.ServerMetadataResponse, describe.server(self.health.version))

    async def _model_ready(self, request: Any, head: Head) -> Message:
        target = find(self.engine, request.name, request.version, head.secret)
        return pb.ModelReadyResponse(ready=describe.is_ready(self.engine, target))

    async def _metadata(self, request: Any, head: Head) -> Message:
        target = find(self.engine, request.name, request.version, head.secret)
        versions = describe.versions(self.engine, target, head.secret)
        loaded = await self.engine.load(target)
        return message(pb.ModelMetadataResponse, describe.metadata(target, loaded, versions))

    async def _config(self, request: Any, head: Head) -> Message:
        target = find(self.engine, request.name, request.version, head.secret)
        config = describe.config(target, await self.engine.load(target))
        return message(pb.ModelConfigResponse, {"config": config})

    async def _statistics(self, request: Any, head: Head) -> Message:
        targets = self.engine.visible(head.secret)
        if request.name:
            targets = [find(self.engine, request.name, request.version, head.secret)]
        return message(pb.ModelStatisticsResponse, describe.statistics(self.engine, targets))

    async def _index(self, request: Any, head: Head) -> Message:
        models = describe.index(self.engine, self.engine.visible(head.secret), ready_only=request.ready)
        return message(pb.RepositoryIndexResponse, {"models": models})

    async def _load(self, request: Any, head: Head) -> Message:
        await self.engine.load_everywhere(find_managed(self.engine, request.model_name, head.secret))
        return pb.RepositoryModelLoadResponse()

    async def _unload(self, request: Any, head: Head) -> Message:
        await self.engine.unload(find_managed(self.engine, request.model_name, head.secret))
        return pb.RepositoryModelUnloadResponse()

    async def _infer(self, request: Any, head: Head) -> Message:
        target = find(self.engine, request.model_name, request.model_version, head.secret)

        def work(loaded: LoadedModel) -> tuple[int, Message]:
            wanted = [output.name for output in request.outputs]
            found, outputs = infer(
                Intake(loaded.package, target.policy, self.engine.lane.spare), tensors(request), wanted, self.caps
            )
            return len(found), response(request, target, found, outputs)

        return await self.engine.predict_block(target, work, is_small=request.ByteSize() <= _SMALL_BODY)


def _serialized(answer: Message) -> bytes:
    return answer.SerializeToString()


def _octets(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")
