"""Every parser of outside bytes in this tree, with a good input each: what `test_fuzz_parsers` damages.

`parser_list` says which module's parsers each reader tries.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportPrivateUsage=false, reportMissingTypeStubs=false
# pyarrow, scikit-learn and protobuf are untyped or partly typed; some parsers are private to the module that calls them.

import gzip
import io
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import DecodeError
from mill_api.access.tokens import TokenSigner
from mill_api.db.pages import Position
from mill_api.deployments.rollout import _parsed as read_report
from mill_api.models.upload_form import UploadWords
from mill_api.once.service import _key as read_key
from mill_api.usage.predictions import _parsed as read_tally
from mill_contracts.ids import UserId, WorkspaceId
from mill_contracts.routing import Exhausted
from mill_contracts.tokens import Role
from mill_contracts.wire import messages
from mill_forest import ForestError, Message, from_bytes, from_sklearn, to_bytes
from mill_forest.ubjson import parse_ubjson
from mill_kit import trace
from mill_kit.confinement import frames
from mill_kit.http.addresses import TrustedProxies, counted_address
from mill_pack import linear_payload, open_package
from mill_pack.engines import tensors as layers
from mill_pack.expressions import compile_expression
from mill_pack.outside import identify
from mill_serving.access import Access
from mill_serving.blocks import read_block
from mill_serving.colleagues import order_of
from mill_serving.deadline import deadline_of
from mill_serving.doors import encodings, mlflow, scoring_blocks, wire
from mill_serving.doors.doorway import media_type
from mill_serving.doors.explain import _rows as explained_rows
from mill_serving.doors.http import RequestIds, read_headers
from mill_serving.doors.tables import arrow, ndjson, separated
from mill_serving.doors.tables.forms import Caps
from mill_serving.doors.v2.framing import read_numbers, read_request
from mill_serving.doors.v2.grpc import inference_pb2 as pb
from mill_serving.doors.v2.grpc.messages import tensors
from mill_serving.doors.v2.rest import address_of
from mill_serving.doors.v2.tensors import read_texts
from mill_serving.errors import ModelCrashed
from mill_serving.intake import Wanted
from mill_serving.isolation.engine import ExplainingIsolatedEngine
from mill_serving.shared_answers import _read as read_shared_answer
from mill_serving.single import Identity, SingleRow
from mill_serving.snapshot.document import read_snapshot
from mill_serving.snapshot.keeper import SnapshotKeeper
from mill_trainer.adopt.sandbox.client import Reply
from mill_trainer.adopt.service import _read as read_reply
from modelmill._events import parse_events
from sklearn.tree import DecisionTreeClassifier
from starlette.requests import Request

from tests.security.evidence import ROOT

CAPS = Caps(1_000, 2**20)
ROW = {"feature1": 5.1, "feature2": 3.5, "feature3": 1.4, "feature4": 0.2}
TABLE = pa.table({"age": [40.0, 41.0], "city": ["Oslo", None]})


class NotUnderstood(Exception):  # noqa: N818 - how a reader that answers None says so here
    """The reader said None: its caller goes another way."""


@dataclass(frozen=True)
class Reader:
    """`refusals` besides `Problem` and `ValidationError`; `takes_all`: there is nothing that it refuses."""

    good: Callable[[], bytes]
    read: Callable[[bytes], Any]
    refusals: tuple[type[Exception], ...] = ()
    takes_all: bool = False


def _or_none(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def checked(data: bytes) -> Any:
        found = read(data)
        if found is None:
            raise NotUnderstood
        return found

    return checked


def _plain(document: Any) -> Callable[[], bytes]:
    return lambda: json.dumps(document).encode()


@cache
def package() -> Any:
    return open_package(ROOT / "shared-models" / "demo_model_1.mill")


@cache
def signer() -> TokenSigner:
    return TokenSigner(Ed25519PrivateKey.generate(), 600)


@cache
def forest() -> bytes:
    numbers = np.random.default_rng(1).normal(size=(40, 3))
    return to_bytes(from_sklearn(DecisionTreeClassifier(max_depth=3).fit(numbers, numbers[:, 0] > 0)))


@cache
def _single() -> tuple[SingleRow, Identity]:
    return SingleRow(package()), Identity("m", "demo", 1, "v")


def _stream() -> bytes:
    out = io.BytesIO()
    with pyarrow.ipc.new_stream(out, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return out.getvalue()


def _parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(TABLE, out)
    return out.getvalue()


def _grpc() -> bytes:
    asked = pb.ModelInferRequest(model_name="demo", id="1")
    asked.inputs.add(name="feature1", datatype="FP64", shape=[1, 1]).contents.fp64_contents.append(5.1)
    asked.inputs.add(name="city", datatype="BYTES", shape=[2]).contents.bytes_contents.extend([b"a", b"b"])
    return asked.SerializeToString()


def _grpc_raw() -> bytes:
    asked = pb.ModelInferRequest(model_name="demo")
    asked.inputs.add(name="feature1", datatype="FP64", shape=[2, 1])
    asked.raw_input_contents.append(np.ones(2).tobytes())
    return asked.SerializeToString()


def _token() -> bytes:
    nobody = UUID(int=7)
    return signer().issue(UserId(nobody), WorkspaceId(nobody), Role.ADMIN, nobody).encode()


def _access() -> Access:
    keeper = SnapshotKeeper(ROOT / "nowhere", {}, 24.0)
    return Access(keeper, signer().key.public_key())


def _frame(head: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(head).encode()
    return frames.LENGTHS.pack(len(text), len(body)) + text + body


def _received(data: bytes) -> tuple[dict[str, Any], bytes]:
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        os.write(writing, data)
        os.close(writing)
        return frames.receive(reading)
    finally:
        os.close(reading)


class _Said:
    """A model process that says `data`."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def ask(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        return _received(self._data)

    def broke_the_rules(self) -> Exception:
        return ModelCrashed("nonsense")


def _wanted() -> Wanted:
    return Wanted(package().signature.features)


def _explained_apart(data: bytes) -> Any:
    engine = ExplainingIsolatedEngine(_Said(data), 2, 100)
    assert engine.contributions(np.zeros((2, 3))).shape in {(2, 1, 4), (2, 2, 4)}


def _predicted_apart(data: bytes) -> Any:
    assert ExplainingIsolatedEngine(_Said(data), 2, 100).outputs(np.zeros((2, 3))).shape == (2, 2)


def _adopted(data: bytes) -> Any:
    said, body = _received(data)
    return read_reply(Reply(said, body, None))


def _idempotency_key(data: bytes) -> str | None:
    return read_key(Request({"type": "http", "headers": [(b"idempotency-key", data)]}))


def _header_lines(data: bytes) -> Any:
    pairs = [line.partition(b": ") for line in data.split(b"\n")]
    return read_headers([(name.lower(), value) for name, _, value in pairs], RequestIds())


def _forwarded(data: bytes) -> Any:
    text = data.decode("latin-1")
    return counted_address(TrustedProxies.named("127.0.0.0/8, ::1").client("127.0.0.1", text.split("\n")))


def _mlflow(data: bytes) -> Any:
    return mlflow.rows_of_document(mlflow._document(data), list(ROW))


def _upload_words(data: bytes) -> Any:
    return UploadWords.model_validate(
        {"framework": "xgboost", "sample_rows": "[]", "signature": data.decode("latin-1")}
    )


def _sandbox_frame() -> bytes:
    found = {"format": "xgboost-json", "algorithm": "gbtree", "engine": "forest", "width": 3, "outputs": 2}
    whole = {**found, "is_classifier": True, "nullable": True, "names": ["a", "b", "c"], "probes": [[0.5, None, 1.0]]}
    return _frame({"found": whole, "file": "forest.mf"}, b"abc")


V2 = {"id": "1", "inputs": [{"name": "age", "datatype": "FP64", "shape": [1, 1], "data": [40.0]}]}
V2_BINARY = {"inputs": [{"name": "a", "datatype": "FP64", "shape": [2], "parameters": {"binary_data_size": 16}}]}
BINARY_HEAD = json.dumps(V2_BINARY).encode()
SNAPSHOT = {
    "key_id": "x",
    "payload": json.dumps({"number": 1, "issued_at": "2026-01-01T00:00:00Z"}),
    "signature": "eA==",
}
REPORT = {
    "replica": "r",
    "address": "a:1",
    "number": 1,
    "reported_at": "2026-01-01T00:00:00Z",
    "versions": [{"model_version_id": str(UUID(int=1)), "state": "failed", "reason": "x"}],
}
TALLY = {"source": "s", "counts": [{"workspace_id": str(UUID(int=1)), "day": "2026-01-01", "count": 3}]}
HEADERS = b"Content-Length: 12\nX-API-Key: mm_x\nAuthorization: Basic dTpwYXNz\nX-Request-ID: abcdefgh\ntraceparent: 00-a-b-01"
FORMAT_OF_EVENTS = b'id: 1\nevent: progress\ndata: {"fraction": 0.5}\n\n: alive\ndata: {"a":\ndata: 1}\n\n'

READERS: dict[str, Reader] = {
    "an Arrow stream": Reader(_stream, lambda data: arrow.read_stream(data, _wanted(), CAPS)),
    "Parquet": Reader(_parquet, lambda data: arrow.read_parquet(data, _wanted(), CAPS)),
    "NDJSON": Reader(lambda: b'{"age": 1}\n{"age": 2}\n', lambda data: ndjson.read(data, CAPS)),
    "CSV": Reader(
        lambda: b"feature1,feature2,feature3,feature4\n5.1,3.5,1.4,0.2\n,1,2,3\n",
        lambda data: separated.read(data, _wanted(), CAPS, header=True),
    ),
    "a row": Reader(_plain({"input_data": ROW}), wire.read_request),
    "rows": Reader(_plain({"inputs": [ROW, ROW]}), wire.read_batch),
    "a row to explain": Reader(_plain({"input_data": ROW}), explained_rows),
    "a row, the short way": Reader(
        _plain({"input_data": ROW}), _or_none(lambda data: _single()[0].answer(data, 0.0, _single()[1], b"id"))
    ),
    "rows, natively": Reader(_plain({"inputs": [ROW, ROW]}), _or_none(lambda data: read_block(package(), data, 100))),
    "MLflow's rows": Reader(_plain({"dataframe_records": [ROW, ROW]}), _mlflow),
    "MLflow's columns and data": Reader(
        _plain({"dataframe_split": {"columns": list(ROW), "data": [[1, 2, 3, 4]]}}), _mlflow
    ),
    "MLflow's rows, natively": Reader(
        _plain({"instances": [[1.0, 2.0, 3.0, 4.0]]}),
        _or_none(lambda data: scoring_blocks.read_block(package(), data, 100)),
    ),
    "a V2 request": Reader(_plain(V2), lambda data: read_request(data, b"")),
    "a V2 request, the quick way": Reader(
        _plain(V2), _or_none(lambda data: read_numbers(data, b"")), (msgspec.DecodeError, ValueError)
    ),
    "a V2 request with tensors as bytes": Reader(
        lambda: BINARY_HEAD + b"\0" * 16, lambda data: read_request(data, b"%d" % len(BINARY_HEAD))
    ),
    "texts in a tensor": Reader(lambda: b"\4\0\0\0Oslo\6\0\0\0Bergen", lambda data: read_texts("city", data, 2)),
    "an address of V2": Reader(lambda: b"/v2/models/a%2Fb/versions/3/infer", address_of, takes_all=True),
    "a gRPC request": Reader(_grpc, lambda data: tensors(pb.ModelInferRequest.FromString(data)), (DecodeError,)),
    "a gRPC request of raw tensors": Reader(
        _grpc_raw, lambda data: tensors(pb.ModelInferRequest.FromString(data)), (DecodeError,)
    ),
    "a gzip body": Reader(
        lambda: gzip.compress(b"x" * 500, mtime=0), lambda data: encodings.unpack(data, b"gzip", 1000)
    ),
    "a deflated body": Reader(lambda: zlib.compress(b"x" * 500), lambda data: encodings.unpack(data, b"deflate", 1000)),
    "headers": Reader(lambda: HEADERS, _header_lines, takes_all=True),
    "a media type": Reader(lambda: b'text/csv; charset="utf-8"; header=absent', media_type, takes_all=True),
    "a deadline": Reader(lambda: b"2500", deadline_of),
    "X-Forwarded-For": Reader(lambda: b"10.1.2.3, 127.0.0.9\n::1, ::ffff:10.0.0.1", _forwarded, takes_all=True),
    "traceparent": Reader(
        lambda: b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        _or_none(lambda data: trace.parse(data.decode("latin-1"))),
    ),
    "an Idempotency-Key": Reader(lambda: b'"8e03978e-40d5-43dd-bc93-6894a57f9324"', _idempotency_key),
    "an access token": Reader(_token, lambda data: signer().read(data.decode("latin-1"))),
    "an access token at ml-service": Reader(_token, lambda data: _access().identify(data.decode("latin-1"))),
    "a page's cursor": Reader(
        lambda: b"MjAyNi0wMS0wMVQwMDowMDowMCswMDowMHwwMTk3YTAwMDAwMDA3MDAwODAwMDAwMDAwMDAwMDAwMA",
        lambda data: Position.parse(data.decode("latin-1")),
    ),
    "the signature of an upload": Reader(_plain({"classes": ["no", "yes"], "target": "y"}), _upload_words),
    "an expression": Reader(
        lambda: b"log(a + 1) * max(b, 2)", lambda data: compile_expression(data.decode("latin-1"), ["a", "b"])
    ),
    "the kind of a model file": Reader(lambda: b"tree\nversion=v4\nnum_class=1\n", identify),
    "UBJSON": Reader(
        lambda: b"{U\x01aU\x07U\x01b[$l#U\x02\0\0\0\1\0\0\0\2U\x01cSU\x03abc}", parse_ubjson, (ForestError,)
    ),
    "protobuf": Reader(lambda: b"\x08\x96\x01\x12\x07testing\x1d\0\0\x80?", Message, (ForestError,)),
    "a forest": Reader(forest, from_bytes, (ForestError,)),
    "the arrays of a linear model": Reader(
        lambda: linear_payload(np.ones((1, 3)), np.zeros(1)).files["linear.f64"], layers.unpack
    ),
    "a snapshot": Reader(_plain(SNAPSHOT), lambda data: read_snapshot(data, {})),
    "the trainer's report": Reader(
        _plain({"kind": "progress", "fraction": 0.5}), lambda data: messages.validate_json(data)
    ),
    "a replica's report": Reader(_plain(REPORT), _or_none(read_report)),
    "a tally": Reader(_plain(TALLY), _or_none(read_tally)),
    "who has used up the day": Reader(_plain({"day": "2026-01-01", "workspaces": []}), Exhausted.model_validate_json),
    "an answer in Redis": Reader(_plain({"value": "yes", "confidence": 0.5}), _or_none(read_shared_answer)),
    "an order among workers": Reader(
        _plain({"verb": "crashed", "version_id": "v", "reason": "x"}),
        order_of,
        (ValueError,),
    ),
    "a frame": Reader(lambda: _frame({"ready": True}, b"abc"), _received, (frames.FrameCut,)),
    "predictions of a model's process": Reader(
        lambda: _frame({"shape": [2, 2]}, np.ones(4).tobytes()), _predicted_apart, (frames.FrameCut,)
    ),
    "contributions of a model's process": Reader(
        lambda: _frame({"shape": [2, 1, 4]}, np.ones(8).tobytes()), _explained_apart, (frames.FrameCut,)
    ),
    "what the sandbox found": Reader(_sandbox_frame, _adopted, (frames.FrameCut,)),
    "a stream of events": Reader(
        lambda: FORMAT_OF_EVENTS, lambda data: list(parse_events(data.decode("latin-1").split("\n"))), takes_all=True
    ),
}
