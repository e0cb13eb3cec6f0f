"""The two hot doors: `POST /predict/{model}` and `POST /predict/{model}/batch`. Raw ASGI; the front calls them."""

import time
from dataclasses import dataclass

from mill_kit.logs import get_logger
from mill_kit.problems import Problem, Unavailable
from mill_pack import InvalidInput, Prediction, Predictions
from starlette.types import Receive, Scope, Send

from mill_serving.doors import wire
from mill_serving.doors.http import (
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
from mill_serving.errors import BatchTooLarge, InvalidRequest, MethodNotAllowed
from mill_serving.packages import LoadedModel
from mill_serving.statistics import Statistics
from mill_serving.targets import Target

ONE = "/predict/{model}"
BATCH = "/predict/{model}/batch"
_CLIENT_CLOSED = 499


@dataclass(frozen=True)
class Limits:
    body_bytes: int
    batch_rows: int


@dataclass(frozen=True)
class PredictDoors:
    engine: Engine
    statistics: Statistics
    ids: RequestIds
    limits: Limits

    async def one(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        begun = time.perf_counter()
        statistics = self.statistics
        statistics.active += 1
        head = read_head(scope, self.ids)
        status = 200
        try:
            body = await read_body(receive, head.length, self.limits.body_bytes)
            target = self.engine.find(name, head.secret)
            payload = self.engine.quick_answer(target, body, begun, head.request_id)
            if payload is None:
                payload = await self._general(target, body, begun, head)
            await answer(send, 200, payload, head.request_id)
        except Exception as error:
            status = await _refuse(send, scope, head, error)
        finally:
            statistics.active -= 1
            statistics.answered("POST", ONE, status, time.perf_counter() - begun)

    async def _general(self, target: Target, body: bytes, begun: float, head: Head) -> bytes:
        request = wire.read_request(body)
        prediction, cached = await self.engine.predict(target, request.input_data, use_cache=request.use_cache)
        milliseconds = (time.perf_counter() - begun) * 1e3
        return wire.encode(_answer_one(target, prediction, request.return_probabilities, cached, milliseconds, head))

    def answer_now(self, headers: Headers, body: bytes, name: str) -> tuple[bytes, bytes] | None:
        """An ordinary row, answered and counted at once: (body, request id). None, and nothing counted, for all else."""
        begun = time.perf_counter()
        head = read_headers(headers, self.ids)
        if head.is_special or len(body) > self.limits.body_bytes:
            return None
        try:
            payload = self.engine.quick_answer(self.engine.find(name, head.secret), body, begun, head.request_id)
        except Problem:
            return None
        if payload is None:
            return None
        self.statistics.answered("POST", ONE, 200, time.perf_counter() - begun)
        return payload, head.request_id

    async def batch(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        begun = time.perf_counter()
        statistics = self.statistics
        statistics.active += 1
        head = read_head(scope, self.ids)
        status = 200
        try:
            body = await read_body(receive, head.length, self.limits.body_bytes)
            target = self.engine.find(name, head.secret)

            def work(loaded: LoadedModel) -> tuple[int, bytes]:
                return self._block(loaded, body, target, head, begun)

            payload = await self.engine.predict_block(target, work)
            await answer(send, 200, payload, head.request_id)
        except Exception as error:
            status = await _refuse(send, scope, head, error)
        finally:
            statistics.active -= 1
            statistics.answered("POST", BATCH, status, time.perf_counter() - begun)

    async def wrong_method(self, scope: Scope, send: Send) -> None:
        problem = MethodNotAllowed()
        self.statistics.answered(known_method(scope["method"]), ONE, problem.status, 0.0)
        await answer_problem(send, problem, scope["path"], read_head(scope, self.ids).request_id)

    def _block(self, loaded: LoadedModel, body: bytes, target: Target, head: Head, begun: float) -> tuple[int, bytes]:
        """Runs in the lane: parsing and rendering of blocks stay off the event loop as well."""
        found, shown = self._quickly(loaded, body) or self._row_by_row(loaded, body)
        rows = _rows(found, shown)
        milliseconds = (time.perf_counter() - begun) * 1e3
        return len(rows), wire.encode(_answer_batch(target, found, rows, milliseconds, head))

    def _quickly(self, loaded: LoadedModel, body: bytes) -> tuple[Predictions, bool] | None:
        block = loaded.blocks.read(body)
        if block is None:
            return None
        self._check_rows(block.rows)
        try:
            return loaded.package.predict_columns(block.columns), block.return_probabilities
        except InvalidInput:
            return None  # the slow way names row and feature

    def _row_by_row(self, loaded: LoadedModel, body: bytes) -> tuple[Predictions, bool]:
        request = wire.read_batch(body)
        self._check_rows(len(request.inputs))
        return loaded.package.predict_rows(request.inputs), request.return_probabilities

    def _check_rows(self, count: int) -> None:
        if count == 0:
            detail = "must hold at least one row"
            raise InvalidRequest("there are no rows", errors=[{"pointer": "/inputs", "detail": detail}])
        if count > self.limits.batch_rows:
            raise BatchTooLarge(count, self.limits.batch_rows)


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


def _answer_batch(
    target: Target, found: Predictions, rows: list[wire.RowAnswer], milliseconds: float, head: Head
) -> wire.BatchAnswer:
    return wire.BatchAnswer(
        target.model_id,
        rows,
        len(rows),
        round(milliseconds, 4),
        round(milliseconds / len(rows), 6),
        wire.now(),
        wire.BatchMetadata(
            target.name,
            target.version,
            target.version_id,
            sum(row.low_confidence for row in rows),
            found.warnings,
            head.request_id.decode(),
        ),
    )


def _rows(found: Predictions, shown: bool) -> list[wire.RowAnswer]:
    values: list[str] | list[float] = found.values if isinstance(found.values, list) else found.values.tolist()
    low: list[bool] = found.low_confidence.tolist()
    if found.confidence is None or found.probabilities is None:
        return [wire.RowAnswer(value, None, None, mark) for value, mark in zip(values, low, strict=True)]
    confidence: list[float] = found.confidence.tolist()
    if not shown:
        return [wire.RowAnswer(*row[:2], None, row[2]) for row in zip(values, confidence, low, strict=True)]
    tables = (dict(zip(found.labels, row, strict=True)) for row in found.probabilities.tolist())
    return list(map(wire.RowAnswer, values, confidence, tables, low))


def known_method(method: str) -> str:
    """A client may invent methods; a metric label must not follow."""
    return method if method in {"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} else "OTHER"


async def _refuse(send: Send, scope: Scope, head: Head, error: Exception) -> int:
    if isinstance(error, ClientLeft):
        return _CLIENT_CLOSED
    if not isinstance(error, Problem):
        get_logger().error("unhandled_error", path=scope["path"], request_id=head.request_id.decode(), exc_info=error)
        error = Problem("Something went wrong on our side; the request id finds it in the logs.")
    elif error.status >= 500 and not isinstance(error, Unavailable):  # overload must not flood the log
        get_logger().warning("problem", slug=error.slug, detail=error.detail, request_id=head.request_id.decode())
    await answer_problem(send, error, scope["path"], head.request_id)
    return error.status
