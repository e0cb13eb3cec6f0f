"""MLflow's scoring server, and SageMaker's, which is the same: `/invocations` and `/ping`, for a model or for the default one.

A body holds one of dataframe_split, dataframe_records, instances, inputs, or is CSV. The model is named by the path, by the header
`X-Amzn-SageMaker-Target-Model`, or by `MILL_SERVING__DEFAULT_MODEL`. `params: {"predict_method": "predict_proba"}` asks for
probabilities in class order; other params are passed over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote

import msgspec
from mill_kit.http.health import Health
from mill_kit.problems import Problem
from mill_pack import Predictions
from starlette.types import ASGIApp, Receive, Scope, Send

from mill_serving.doors.doorway import Call, Doorway, Reply
from mill_serving.doors.scoring_blocks import read_block
from mill_serving.doors.tables.forms import Caps, form_of, read_table
from mill_serving.engine import Engine
from mill_serving.errors import InvalidRequest, NoDefaultModel
from mill_serving.intake import Intake, Row
from mill_serving.packages import LoadedModel

_MODELS = b"/models/"
_INVOCATIONS, _PING = b"/invocations", b"/ping"
_TARGET = b"x-amzn-sagemaker-target-model"
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_BESIDE = frozenset({"params", "signature_name"})
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "BAD_REQUEST",
    413: "REQUEST_LIMIT_EXCEEDED",
    415: "BAD_REQUEST",
    422: "INVALID_PARAMETER_VALUE",
    429: "RESOURCE_EXHAUSTED",
    503: "TEMPORARILY_UNAVAILABLE",
}
_SMALL_BODY = 1 << 12
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

Document = dict[str, Any]


@dataclass(frozen=True)
class ScoringDoor:
    """A side door of the front. `default` is the model of a path that names none."""

    engine: Engine
    doorway: Doorway
    caps: Caps
    health: Health
    default: str | None

    def at(self, path: bytes) -> ASGIApp | None:
        path = path.rstrip(b"/")
        if path == _PING:
            return self._app("ping", "/ping", None)
        if path == _INVOCATIONS:
            return self._app("invocations", "/invocations", None)
        if not path.startswith(_MODELS):
            return None
        for last, action in ((_INVOCATIONS, "invocations"), (_PING, "ping")):
            name = path[len(_MODELS) :].removesuffix(last)
            if path.endswith(last) and name:
                return self._app(action, f"/models/{{model}}/{action}", unquote(name.decode("latin-1")))
        return None

    def _app(self, action: str, route: str, name: str | None) -> ASGIApp:
        async def handle(call: Call) -> Reply:
            return await (self._ping(call, name) if action == "ping" else self._invoke(call, name))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self.doorway.serve(scope, receive, send, route=route, handle=handle, refuse=_refuse)

        return app

    async def _ping(self, call: Call, name: str | None) -> Reply:
        """Healthy when something can be served; of a model, when it can."""
        call.allow("GET", "HEAD")
        if name is not None:
            await self.engine.load(self.engine.find(name, call.secret))
        return Reply(b"\n", 200 if await self.health.is_ready() else 503, b"text/plain")

    async def _invoke(self, call: Call, name: str | None) -> Reply:
        call.allow("POST")
        chosen = name or call.header(_TARGET).decode("latin-1") or self.default
        if not chosen:
            raise NoDefaultModel
        target = self.engine.find(chosen, call.secret)
        media_type, parameters = call.media_type()
        form = form_of(media_type, parameters)
        body = await call.body()

        def work(loaded: LoadedModel) -> tuple[int, Reply]:
            intake = Intake(loaded.package, target.policy, self.engine.lane.spare)
            if form != "json":
                rows = read_table(form, body, intake.wanted, self.caps, header=parameters.get("header") != "absent")
                found = intake.rows(rows) if isinstance(rows, list) else intake.table(rows)
                return len(found), _answer(found, {})
            block = read_block(loaded.package, body, self.caps.rows) if intake.takes_any_category else None
            if block is not None:
                found = intake.package.predict_encoded(block.encoded, intake.threads)
                return len(found), _answer(found, checked(block.document))
            document = _document(body)
            given = rows_of_document(document, [feature.name for feature in loaded.package.signature.features])
            self.caps.check(len(given))
            found = intake.rows(given)
            return len(given), _answer(found, document)

        return await self.engine.predict_block(target, work, is_small=len(body) <= _SMALL_BODY)


def rows_of_document(document: Document, names: Sequence[str]) -> list[Row]:
    """The rows of whichever form the document has. Raises `InvalidRequest`."""
    form = next(name for name in _FORMS if name in checked(document))
    data = document[form]
    if form == "dataframe_split":
        return _of_split(data)
    if form == "inputs" and isinstance(data, dict):
        return _of_columns(cast("Document", data))
    return [_row(form, number, given, names) for number, given in enumerate(_listed(form, data))]


def checked(document: Document) -> Document:
    """With one of the forms, and nothing unknown. Raises `InvalidRequest`."""
    forms = [name for name in _FORMS if name in document]
    unknown = sorted(set(document) - set(_FORMS) - _BESIDE)
    if len(forms) != 1 or unknown:
        found = ", ".join(forms + unknown) or "none of them"
        raise InvalidRequest(
            f"the body must hold exactly one of {', '.join(_FORMS)} (and params); it holds {found[:200]}"
        )
    return document


def _of_split(data: Any) -> list[Row]:
    split = cast("Document", data) if isinstance(data, dict) else {}
    columns = _listed("dataframe_split/columns", split.get("columns"))
    values = _listed("dataframe_split/data", split.get("data"))
    if len(set(map(str, columns))) != len(columns):
        raise InvalidRequest("dataframe_split names a column twice")
    return [_zipped("dataframe_split/data", number, row, columns) for number, row in enumerate(values)]


def _of_columns(data: Document) -> list[Row]:
    """A list per feature; a value alone is a row of one."""
    columns = {name: _listed(name, value) if isinstance(value, list) else [value] for name, value in data.items()}
    if len({len(values) for values in columns.values()}) != 1:
        raise InvalidRequest("inputs must hold lists of one length")
    flat = {name: [_alone(value) for value in values] for name, values in columns.items()}
    return [dict(zip(flat, row, strict=True)) for row in zip(*flat.values(), strict=True)]


def _row(form: str, number: int, given: Any, names: Sequence[str]) -> Row:
    if isinstance(given, dict):
        return cast("Document", given)
    if form == "dataframe_records":
        raise InvalidRequest(f"dataframe_records/{number} must be an object")
    return _zipped(form, number, given if isinstance(given, list) else [given], names)


def _zipped(where: str, number: int, given: Any, names: Sequence[Any]) -> Row:
    values = _listed(f"{where}/{number}", given)
    if len(values) != len(names):
        raise InvalidRequest(f"{where}/{number} holds {len(values)} values for {len(names)} columns")
    return dict(zip(map(str, names), values, strict=True))


def _listed(where: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidRequest(f"{where} must be a list")
    return cast("list[Any]", value)


def _alone(value: Any) -> Any:
    """TensorFlow's clients send [n, 1] for a column."""
    values = cast("list[Any]", value) if isinstance(value, list) else []
    return values[0] if len(values) == 1 else cast("Any", value)


def _document(body: bytes) -> Document:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body is no JSON object: {error}") from None


def _answer(found: Predictions, document: Document) -> Reply:
    params: Any = document.get("params")
    method = cast("Document", params).get("predict_method") if isinstance(params, dict) else None
    if method == "predict_proba" and found.probabilities is not None:
        return Reply(_encode({"predictions": found.probabilities.tolist()}))
    values = found.values if isinstance(found.values, list) else found.values.tolist()
    return Reply(_encode({"predictions": values}))


def _refuse(problem: Problem, _call: Call) -> Reply:
    code = _CODES.get(problem.status, "INTERNAL_ERROR")
    status = 400 if problem.status == 422 else problem.status  # MLflow's clients know no other for a bad body
    return Reply(_encode({"error_code": code, "message": problem.detail}), status)
