"""`POST /predict/{model}/batch`: many rows as JSON, NDJSON, CSV, an Arrow stream or Parquet, answered in the same form or by Accept.

JSON answers carry what is known of the call in their body, the other forms in headers.
"""

import json
import time
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
from mill_kit.problems import Problem
from mill_pack import InvalidInput, Predictions
from starlette.types import Receive, Scope, Send

from mill_serving.blocks import read_block
from mill_serving.doors import wire
from mill_serving.doors.answers import json_rows
from mill_serving.doors.doorway import JSON, Call, Doorway, Reply, problem_reply
from mill_serving.doors.http import JSON_LINES, Answered, Head, Headers, read_headers
from mill_serving.doors.tables.forms import (
    CONTENT_TYPES,
    Caps,
    FormName,
    answer_form,
    form_of,
    read_table,
    write_table,
)
from mill_serving.engine import Engine
from mill_serving.intake import Intake
from mill_serving.packages import LoadedModel
from mill_serving.targets import Target

BATCH = "/predict/{model}/batch"
_ROWS = b'"predictions":['
_NO_ROWS = _ROWS + b"]"


@dataclass(frozen=True, slots=True)
class _Asked:
    """How the rows come, how the answer goes, and what the query or the content type says besides."""

    form: FormName
    answer: FormName
    header: bool
    probabilities: bool


@dataclass(frozen=True, slots=True)
class _Found:
    predictions: Predictions
    shown: bool

    @property
    def rows(self) -> int:
        return len(self.predictions)


@dataclass(frozen=True)
class BatchDoor:
    engine: Engine
    doorway: Doorway
    caps: Caps

    async def serve(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        shown = b"probabilities=false" not in scope.get("query_string", b"")

        async def handle(call: Call) -> Reply:
            return await self._answer(call, name, shown=shown)

        await self.doorway.serve(scope, receive, send, route=BATCH, handle=handle, refuse=problem_reply)

    async def _answer(self, call: Call, name: str, *, shown: bool) -> Reply:
        content_type, parameters = call.media_type()
        form = form_of(content_type, parameters)
        answer = answer_form(call.header(b"accept").decode("latin-1"), form)
        asked = _Asked(form, answer, parameters.get("header") != "absent", shown)
        target = self.engine.find(name, call.secret)
        body = await call.body()
        return await self.engine.predict_block(
            target, lambda loaded: self._block(loaded, body, target, asked, call), form=form, size=len(body)
        )

    def answer_now(self, headers: Headers, body: bytes, name: str) -> Answered | None:
        """A short batch as JSON, answered and counted at once. None, and nothing counted, for all else."""
        begun = time.perf_counter()
        head = read_headers(headers, self.doorway.ids)
        if head.is_special or len(body) > self.doorway.body_bytes or not _wants_json(headers):
            return None

        def work(loaded: LoadedModel) -> tuple[int, bytes] | None:
            intake = Intake(loaded.package, target.policy)
            found = self._quickly(intake, body) if intake.takes_any_category else None
            return None if found is None else (found.rows, _document(target, found, begun, head))

        try:
            target = self.engine.find(name, head.secret)
        except Problem:
            return None
        payload = self.engine.quick_block(target, "json", len(body), work)
        if payload is None:
            return None
        self.doorway.statistics.answered("POST", BATCH, 200, time.perf_counter() - begun)
        return payload, head.request_id, JSON_LINES

    def _block(self, loaded: LoadedModel, body: bytes, target: Target, asked: _Asked, call: Call) -> tuple[int, Reply]:
        """Runs in the lane: parsing and rendering of blocks stay off the event loop as well."""
        intake = Intake(loaded.package, target.policy, self.engine.lane.spare)
        found = self._json(intake, body) if asked.form == "json" else self._table(intake, body, asked)
        if asked.answer == "json":
            return found.rows, Reply(_document(target, found, call.begun, call.head))
        payload = write_table(asked.answer, found.predictions, probabilities=found.shown)
        content_type = CONTENT_TYPES[asked.answer].encode()
        return found.rows, Reply(payload, content_type=content_type, headers=_about(target, found.predictions))

    def _json(self, intake: Intake, body: bytes) -> _Found:
        return (self._quickly(intake, body) if intake.takes_any_category else None) or self._row_by_row(intake, body)

    def _quickly(self, intake: Intake, body: bytes) -> _Found | None:
        block = read_block(intake.package, body, self.caps.rows)
        if block is None:
            return None
        try:
            return _Found(intake.package.predict_encoded(block.encoded, intake.threads), block.return_probabilities)
        except InvalidInput:
            return None  # the slow way names row and feature

    def _row_by_row(self, intake: Intake, body: bytes) -> _Found:
        request = wire.read_batch(body)
        self.caps.check(len(request.inputs))
        return _Found(intake.rows(request.inputs), request.return_probabilities)

    def _table(self, intake: Intake, body: bytes, asked: _Asked) -> _Found:
        rows = read_table(asked.form, body, intake.wanted, self.caps, header=asked.header)
        found = intake.rows(rows) if isinstance(rows, list) else intake.table(rows)
        return _Found(found, asked.probabilities)


def _wants_json(headers: Headers) -> bool:
    """Rows as JSON, to be answered as JSON, in the plainest words."""
    for header, value in headers:
        if header == b"content-type" and value != JSON:
            return False
        if header == b"accept" and value not in (b"*/*", JSON):
            return False
    return True


def _document(target: Target, found: _Found, begun: float, head: Head) -> bytes:
    rows = json_rows(found.predictions, shown=found.shown)
    milliseconds = (time.perf_counter() - begun) * 1e3
    around = wire.encode(
        wire.BatchAnswer(
            target.model_id,
            [],
            found.rows,
            round(milliseconds, 4),
            round(milliseconds / found.rows, 6),
            wire.now(),
            wire.BatchMetadata(
                target.name,
                target.version,
                target.version_id,
                int(np.count_nonzero(found.predictions.low_confidence)),
                found.predictions.warnings,
                head.request_id.decode(),
            ),
        )
    )
    before, after = around.split(_NO_ROWS, 1)
    return b"".join((before, _ROWS, rows, b"]", after))


def _about(target: Target, found: Predictions) -> tuple[tuple[bytes, bytes], ...]:
    about = [
        (b"x-model-id", target.model_id.encode()),
        (b"x-model-name", quote(target.name, safe="").encode()),
        (b"x-model-version", str(target.version).encode()),
        (b"x-model-version-id", target.version_id.encode()),
    ]
    if found.warnings:
        about.append((b"x-prediction-warnings", json.dumps(found.warnings[:20])[:4000].encode()))
    return tuple(about)
