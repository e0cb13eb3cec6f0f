"""`POST /predict/{model}/explain`: what each input adds to the answer, exact for forests (TreeSHAP) and linear models."""

import time
from dataclasses import dataclass
from typing import Any

import msgspec
from mill_pack import Explanations
from starlette.types import Receive, Scope, Send

from mill_serving.doors import wire
from mill_serving.doors.answers import row_answers
from mill_serving.doors.doorway import Call, Doorway, Reply, problem_reply
from mill_serving.doors.tables.forms import Caps
from mill_serving.engine import Engine
from mill_serving.errors import InvalidRequest
from mill_serving.intake import INPUT_DATA, INPUTS, Intake
from mill_serving.packages import LoadedModel
from mill_serving.targets import Target

EXPLAIN = "/predict/{model}/explain"
_MOST_ROWS = 1000
"""An explanation takes some hundred times the work of a prediction."""

Contributions = dict[str, dict[str, float]]


class ExplainRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One row as `input_data`, or several as `inputs`."""

    input_data: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    inputs: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET


class Explanation(msgspec.Struct, gc=False):
    """`contributions` by output and feature add up, with `base_values`, to `margins`.

    A margin is the value of a regression, the log-odds of a class, or its probability where trees vote.
    """

    prediction: str | float
    confidence_score: float | None
    margins: dict[str, float]
    base_values: dict[str, float]
    contributions: Contributions


class ExplainAnswer(msgspec.Struct, gc=False):
    """`processing_time` is in milliseconds."""

    model_id: str
    model_version_id: str
    explanations: list[Explanation]
    count: int
    processing_time: float
    request_id: str


@dataclass(frozen=True)
class ExplainDoor:
    engine: Engine
    doorway: Doorway
    caps: Caps

    async def serve(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        async def handle(call: Call) -> Reply:
            return await self._answer(call, name)

        await self.doorway.serve(scope, receive, send, route=EXPLAIN, handle=handle, refuse=problem_reply)

    async def _answer(self, call: Call, name: str) -> Reply:
        target = self.engine.find(name, call.secret)
        body = await call.body()

        def work(loaded: LoadedModel) -> tuple[int, Reply]:
            rows, pointer = _rows(body)
            Caps(min(self.caps.rows, _MOST_ROWS), self.caps.body_bytes).check(len(rows))
            found = Intake(loaded.package, target.policy).explained(rows, pointer)
            return len(rows), Reply(wire.encode(_document(found, target, call)))

        return await self.engine.predict_block(target, work)


def _rows(body: bytes) -> tuple[list[dict[str, Any]], str]:
    request = wire.decoded(body, ExplainRequest)
    if isinstance(request.inputs, list) == isinstance(request.input_data, dict):
        raise InvalidRequest("send either input_data (one row) or inputs (rows)")
    if isinstance(request.inputs, list):
        return request.inputs, INPUTS
    return [request.input_data] if isinstance(request.input_data, dict) else [], INPUT_DATA


def _document(found: Explanations, target: Target, call: Call) -> ExplainAnswer:
    answers = row_answers(found.predictions)
    margins, base = found.margins.tolist(), found.base.tolist()
    explanations = [
        Explanation(
            answer.prediction,
            answer.confidence_score,
            dict(zip(found.outputs, margins[row], strict=True)),
            dict(zip(found.outputs, base[row], strict=True)),
            {
                output: dict(zip(found.features, parts, strict=True))
                for output, parts in zip(found.outputs, found.contributions[row].tolist(), strict=True)
            },
        )
        for row, answer in enumerate(answers)
    ]
    milliseconds = round((time.perf_counter() - call.begun) * 1e3, 4)
    request_id = call.head.request_id.decode()
    return ExplainAnswer(target.model_id, target.version_id, explanations, len(explanations), milliseconds, request_id)
