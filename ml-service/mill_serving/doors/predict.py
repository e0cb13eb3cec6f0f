"""The hot door: `POST /predict/{model}`. Raw ASGI; the front calls it."""

import time
from dataclasses import dataclass

from mill_kit.problems import Problem
from mill_pack import Prediction
from starlette.types import Receive, Scope, Send

from mill_serving.deadline import refuse_late
from mill_serving.doors import wire
from mill_serving.doors.doorway import foreseen, known_method
from mill_serving.doors.encodings import unpacked
from mill_serving.doors.http import (
    JSON_LINES,
    Answered,
    ClientLeft,
    Head,
    Headers,
    RequestIds,
    answer,
    answer_problem,
    read_body,
    read_head,
    read_headers,
)
from mill_serving.engine import Engine
from mill_serving.errors import MethodNotAllowed, NoDefaultModel, NoProbabilities
from mill_serving.performance import HEADER as PROFILE_HEADER
from mill_serving.performance import TRANSACTION, Transaction, is_asked
from mill_serving.statistics import Statistics
from mill_serving.targets import Target

ONE = "/predict/{model}"
_CLIENT_CLOSED = 499
_LONGEST_ROW = 1 << 16


@dataclass(frozen=True)
class PredictDoor:
    """`limit` is of a body, packed and unpacked; `most` requests are answered at once."""

    engine: Engine
    statistics: Statistics
    ids: RequestIds
    limit: int
    most: int

    async def serve(self, scope: Scope, receive: Receive, send: Send, name: str, *, proba: bool = False) -> None:
        begun = time.perf_counter()
        statistics = self.statistics
        statistics.active += 1
        head = read_head(scope, self.ids)
        status = _CLIENT_CLOSED
        try:
            statistics.refuse_beyond(self.most)
            body = await read_body(receive, head.length, self.limit)
            transaction = Transaction(head.request_id.decode(), begun)
            target = self._find(name, head)
            if head.is_special:
                headers = dict(scope["headers"])
                body = await unpacked(body, headers.get(b"content-encoding", b""), self.limit)
                if is_asked(headers.get(PROFILE_HEADER, b"")):
                    transaction.profiled_for = self.engine.may_profile(head.secret)
            if proba and not (await self.engine.load(target)).package.labels:
                raise NoProbabilities
            payload = None
            if transaction.profiled_for is None:
                refuse_late()
                payload = self.engine.quick_answer(target, body, begun, head.request_id)
            if payload is None:
                TRANSACTION.set(transaction)
                payload = await self._general(target, body, begun, head)
            status = 200
            await answer(send, 200, payload, head.request_id, transaction.headers())
        except Exception as error:
            status = await _refuse(send, scope, head, error)
        finally:
            statistics.active -= 1
            statistics.answered("POST", ONE, status, time.perf_counter() - begun)

    def _find(self, name: str, head: Head) -> Target:
        """Without a name, the default model."""
        chosen = name or self.engine.default_model
        if not chosen:
            raise NoDefaultModel
        return self.engine.find(chosen, head.secret)

    async def _general(self, target: Target, body: bytes, begun: float, head: Head) -> bytes:
        request = wire.read_request(body)
        prediction, cached = await self.engine.predict(target, request.input_data, use_cache=request.use_cache)
        milliseconds = (time.perf_counter() - begun) * 1e3
        return wire.encode(_answer_one(target, prediction, request.return_probabilities, cached, milliseconds, head))

    def answer_now(self, headers: Headers, body: bytes, name: str) -> Answered | None:
        """An ordinary row, answered and counted at once. None, and nothing counted, for all else."""
        begun = time.perf_counter()
        head = read_headers(headers, self.ids)
        if head.is_special or len(body) > min(self.limit, _LONGEST_ROW):
            return None
        try:
            payload = self.engine.quick_answer(self.engine.find(name, head.secret), body, begun, head.request_id)
        except Problem:
            return None
        if payload is None:
            return None
        self.statistics.answered("POST", ONE, 200, time.perf_counter() - begun)
        return payload, head.request_id, JSON_LINES

    async def wrong_method(self, scope: Scope, send: Send) -> None:
        problem = MethodNotAllowed()
        self.statistics.answered(known_method(scope["method"]), ONE, problem.status, 0.0)
        await answer_problem(send, problem, scope["path"], read_head(scope, self.ids).request_id)


def _answer_one(
    target: Target, prediction: Prediction, shown: bool, cached: bool, milliseconds: float, head: Head
) -> wire.PredictAnswer:
    return wire.PredictAnswer(
        target.model_id,
        prediction.value,
        prediction.confidence,
        prediction.probabilities if shown else None,
        round(milliseconds, 4),
        wire.now(),
        wire.PredictMetadata(
            target.name,
            target.version,
            target.version_id,
            prediction.low_confidence,
            prediction.warnings,
            cached,
            head.request_id.decode(),
        ),
    )


async def _refuse(send: Send, scope: Scope, head: Head, error: Exception) -> int:
    if isinstance(error, ClientLeft):
        return _CLIENT_CLOSED
    problem = foreseen(error, scope["path"], head.request_id.decode())
    await answer_problem(send, problem, scope["path"], head.request_id)
    return problem.status
