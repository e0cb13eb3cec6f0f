"""The schema of one model as a contract: its own OpenAPI document, and `:validate`, which explains a payload and predicts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, unquote

import msgspec
from mill_contracts.tables import ColumnKind
from mill_pack import InvalidInput
from starlette.types import ASGIApp, Receive, Scope, Send

from mill_serving.doors import wire
from mill_serving.doors.doorway import Call, Doorway, Reply, problem_reply
from mill_serving.doors.json_schema import row_schema
from mill_serving.doors.tables.forms import Caps, form_of, read_table
from mill_serving.engine import Engine
from mill_serving.errors import InvalidRequest
from mill_serving.intake import INPUT_DATA, INPUTS, Intake, Row, escape, rows_of, unseen_errors
from mill_serving.packages import LoadedModel
from mill_serving.targets import Target

_MODELS = b"/models/"
_VALIDATE, _OPENAPI = b":validate", b"/openapi.json"
VALIDATE = "/models/{model}:validate"
_MOST_WRONG = 1000
_encode = msgspec.json.Encoder().encode

Document = dict[str, Any]


class RowVerdict(msgspec.Struct, gc=False, omit_defaults=True):
    """`errors` say why the row would be refused, `warnings` what the model does not know; both by JSON pointer."""

    row: int
    valid: bool
    errors: list[dict[str, Any]] = []
    warnings: list[dict[str, Any]] = []


class Verdict(msgspec.Struct):
    """`details` holds the rows that are wrong or doubtful, at most a thousand."""

    model_id: str
    model_version_id: str
    valid: bool
    rows: int
    rows_wrong: int
    details: list[RowVerdict]


class _Payload(msgspec.Struct, forbid_unknown_fields=True):
    input_data: Any = msgspec.UNSET
    inputs: list[Any] | msgspec.UnsetType = msgspec.UNSET
    return_probabilities: bool = True
    use_cache: bool = True


@dataclass(frozen=True)
class ModelDoor:
    """A side door of the front."""

    engine: Engine
    doorway: Doorway
    caps: Caps

    def at(self, path: bytes) -> ASGIApp | None:
        path = path.rstrip(b"/")
        if not path.startswith(_MODELS):
            return None
        for last, route in ((_VALIDATE, VALIDATE), (_OPENAPI, "/models/{model}/openapi.json")):
            name = path[len(_MODELS) :].removesuffix(last)
            if path.endswith(last) and name:
                return self._app(route, unquote(name.decode("latin-1")), validates=last is _VALIDATE)
        return None

    def _app(self, route: str, name: str, *, validates: bool) -> ASGIApp:
        async def handle(call: Call) -> Reply:
            return await (self._validate(call, name) if validates else self._openapi(call, name))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self.doorway.serve(scope, receive, send, route=route, handle=handle, refuse=problem_reply)

        return app

    async def _openapi(self, call: Call, name: str) -> Reply:
        call.allow("GET", "HEAD")
        target = self.engine.find(name, call.secret)
        loaded = await self.engine.load(target)
        return Reply(_encode(model_openapi(target, loaded)))

    async def _validate(self, call: Call, name: str) -> Reply:
        call.allow("POST")
        target = self.engine.find(name, call.secret)
        media_type, parameters = call.media_type()
        form = form_of(media_type, parameters)
        body = await call.body()
        loaded = await self.engine.load(target)

        def work() -> Reply:
            pointer, rows = INPUTS, []
            if form == "json":
                pointer, rows = _payload(body)
            else:
                wanted = Intake(loaded.package, target.policy).wanted
                table = read_table(form, body, wanted, self.caps, header=parameters.get("header") != "absent")
                rows = table if isinstance(table, list) else rows_of(table, wanted.features)
            self.caps.check(len(rows))
            return Reply(_encode(judge(target, loaded, rows, pointer)))

        return Reply((await self.engine.lane.run(work, target.sha256)).body)


def judge(target: Target, loaded: LoadedModel, rows: Sequence[Any], pointer: str) -> Verdict:
    """Row by row, under the policy of the deployment: whoever sends what passes here is answered."""
    intake = Intake(loaded.package, target.policy)
    wrong = 0
    details: list[RowVerdict] = []
    for number, row in enumerate(rows):
        where = pointer if pointer == INPUT_DATA else f"{pointer}/{number}"
        verdict = _judge_row(intake, row, number, where)
        wrong += not verdict.valid
        if (not verdict.valid or verdict.warnings) and len(details) < _MOST_WRONG:
            details.append(verdict)
    return Verdict(target.model_id, target.version_id, wrong == 0, len(rows), wrong, details)


def _judge_row(intake: Intake, row: Any, number: int, where: str) -> RowVerdict:
    if not isinstance(row, dict):
        return RowVerdict(
            number, False, [{"pointer": where, "detail": "must be an object with one member per feature"}]
        )
    try:
        prepared = intake.prepared_one(cast("Row", row), where)
        intake.package.encoder.check_row(prepared, where)
    except InvalidInput as refused:
        return RowVerdict(number, False, list(refused.errors))
    return RowVerdict(number, True, [], _doubts(intake, prepared, where))


def _doubts(intake: Intake, row: Row, where: str) -> list[dict[str, Any]]:
    """What is taken, and worth a look: unseen categories, numbers outside what training saw."""
    features = intake.package.signature.features
    doubts = unseen_errors([row], {feature.name: feature for feature in features}, where, numbered=False)
    for feature in features:
        value = row.get(feature.name)
        low, high = feature.minimum, feature.maximum
        is_number = feature.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER) and isinstance(value, int | float)
        if is_number and low is not None and high is not None and not low <= value <= high:  # pyright: ignore[reportOperatorIssue]
            detail = f"lies outside what training saw, {low:g} to {high:g}"
            doubts.append({"pointer": f"{where}/{escape(feature.name)}", "detail": detail})
    return doubts


def _payload(body: bytes) -> tuple[str, list[Any]]:
    payload = wire.decoded(body, _Payload)
    if (payload.input_data is msgspec.UNSET) == (payload.inputs is msgspec.UNSET):
        raise InvalidRequest("send either input_data (one row) or inputs (rows)")
    if isinstance(payload.inputs, list):
        return INPUTS, payload.inputs
    return INPUT_DATA, [payload.input_data]


def model_openapi(target: Target, loaded: LoadedModel) -> Document:
    """OpenAPI 3.1 of the addresses of this model, with its own row as the schema."""
    path = quote(target.name, safe="")
    row = {key: value for key, value in row_schema(target.name, loaded.package.signature).items() if key != "$schema"}
    _, components = msgspec.json.schema_components(
        [wire.PredictAnswer, wire.BatchAnswer, Verdict], ref_template="#/components/schemas/{name}"
    )
    one = {
        "type": "object",
        "required": ["input_data"],
        "properties": {"input_data": _ref("Row"), "return_probabilities": {"type": "boolean", "default": True}},
    }
    many = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "inputs": {"type": "array", "minItems": 1, "items": _ref("Row")},
            "return_probabilities": {"type": "boolean", "default": True},
        },
    }
    scored: Document = {"type": "object", "properties": {"predictions": {"type": "array", "items": {}}}}
    records = {
        "type": "object",
        "required": ["dataframe_records"],
        "properties": {"dataframe_records": {"type": "array", "items": _ref("Row")}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": target.name, "version": str(target.version)},
        "paths": {
            f"/predict/{path}": _post("Predict one row", one, _ref("PredictAnswer")),
            f"/predict/{path}/batch": _post("Predict rows", many, _ref("BatchAnswer")),
            f"/models/{path}:validate": _post("Explain a payload, predict nothing", many, _ref("Verdict")),
            f"/models/{path}/invocations": _post("Predict rows as MLflow does", records, scored),
        },
        "components": {
            "schemas": {"Row": row, **components},
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "Bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{}] if target.is_shared else [{"ApiKey": []}, {"Bearer": []}],
    }


def _ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def _post(summary: str, body: Document, answer: Document) -> Document:
    content = {"application/json": {"schema": body}}
    found = {"description": "The answer", "content": {"application/json": {"schema": answer}}}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": content},
            "responses": {"200": found, "default": {"description": "A problem (RFC 9457)"}},
        }
    }
