"""A8: no content type, encoding, part or metadata makes a service turn the bytes of a request into objects of code.

Where it hit others (BentoML CVE-2025-27520, vLLM CVE-2025-32444, pyarrow CVE-2023-47248) a request named its own deserialiser. Here
every reader is chosen by the route, and none of them knows how to make code. Both services run in this process: an audit hook hears
every class that any unpickler looks up, beside the canaries that the payloads would set off.
"""

# pyarrow ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import ast
import base64
import contextlib
import gzip
import io
import itertools
import json
import pickle
import sys
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from httpx import AsyncClient
from mill_api.app import openapi_document
from mill_contracts.tasks import Limits, ProfileTask
from mill_kit.problems import Problem
from mill_trainer.profile.service import profile
from mill_trainer.reporting import PipeReport

from tests.security.evidence import LONG, ROOT
from tests.security.payloads import Canary, canary, disguises, object_array, pickled, zipped
from tests.security.support import CSV, Estate

PICKLES = (
    "application/vnd.bentoml+pickle",
    "application/octet-stream+pickle",
    "application/vnd.python.pickle",
    "application/python-pickle",
    "application/x-python-serialize",
    "application/x-pickle",
    "application/x-joblib",
    "application/x-cloudpickle",
    "application/x-dill",
)
OTHERS = (
    "application/x-numpy",
    "application/x-npz",
    "application/x-msgpack",
    "application/vnd.msgpack",
    "application/yaml",
    "text/x-yaml",
    "application/x-java-serialized-object",
    "application/vnd.php.serialized",
    "application/x-torch",
    "application/x-hdf5",
    "application/xml",
    "application/cbor",
    "application/x-protobuf",
    "application/octet-stream",
    "multipart/mixed; boundary=pickle",
    "",
)
READ = (
    "application/json",
    "application/json; charset=pickle",
    "application/x-ndjson",
    "text/csv",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.parquet",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=edge",
)
MODEL = "demo_model_1"
DOORS = (
    f"/predict/{MODEL}",
    f"/predict/{MODEL}/batch",
    f"/predict/{MODEL}/explain",
    f"/models/{MODEL}:validate",
    f"/models/{MODEL}/invocations",
    f"/v2/models/{MODEL}/infer",
)
ROW = {"feature1": 5.1, "feature2": 3.5, "feature3": 1.4, "feature4": 0.2}
CODE_LOADERS = {
    "pickle",
    "_pickle",
    "cPickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "jsonpickle",
    "yaml",
    "torch",
}
PRODUCT = (
    "api-server/mill_api",
    "ml-service/mill_serving",
    "trainer/mill_trainer",
    "packages/contracts/mill_contracts",
)
PRODUCT_TOO = (
    "packages/kit/mill_kit",
    "packages/modelpack/mill_pack",
    "packages/forest/mill_forest",
    "packages/rows/mill_rows",
)
SDK = ("packages/sdk/modelmill", "packages/local/mill_local")


@dataclass
class Listener:
    """Hears unpicklers look up classes while it listens; an audit hook cannot be taken back, so there is one."""

    heard: list[str] = field(default_factory=list[str])
    listens: bool = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.listens and event == "pickle.find_class":
            self.heard.append(".".join(map(str, arguments)))


_LISTENER = Listener()


@pytest.fixture(scope="module")
def hook() -> Listener:
    sys.addaudithook(_LISTENER)
    return _LISTENER


@pytest.fixture
def watched(tmp_path: Path, hook: Listener) -> Iterator[Canary]:
    """Afterwards nobody has unpickled, written the file, or knocked at the door."""
    with canary(tmp_path) as one:
        hook.heard.clear()
        hook.listens = True
        try:
            yield one
        finally:
            hook.listens = False
        assert hook.heard == []
        assert not one.sang


def hostile(one: Canary) -> dict[str, bytes]:
    """What would run code in a service that deserialises what a request says it is."""
    command = f"open({str(one.file)!r},'w')"
    code = pickled(one, 2)
    found = dict(disguises(one)) if LONG else {f"protocol {number}": pickled(one, number) for number in (0, 2, 5)}
    return found | {
        "numpy": object_array(code),
        "npz": zipped({"a.npy": object_array(code)}),
        "yaml": f"!!python/object/apply:builtins.exec [{command!r}]\n".encode(),
        "xml": b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
        "jsonpickle": json.dumps({"py/reduce": [{"py/function": "builtins.exec"}, {"py/tuple": [command]}]}).encode(),
        "base64 in JSON": json.dumps({"input_data": {"feature1": base64.b64encode(code).decode()}}).encode(),
        "msgpack extension": b"\xc7" + bytes([min(len(code), 255)]) + b"\x01" + code[:255],
        "java": b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap",
        "php": b'O:8:"Exploits":0:{}',
    }


def test_the_hook_would_hear_an_unpickler(hook: Listener) -> None:
    hook.heard.clear()
    hook.listens = True
    try:
        pickle.loads(pickle.dumps(OrderedDict()))  # noqa: S301 - ours
    finally:
        hook.listens = False
    assert hook.heard == ["collections.OrderedDict"]


async def test_no_content_type_makes_a_door_of_ml_service_deserialise(serving: AsyncClient, watched: Canary) -> None:
    tried = 0
    for (title, body), path in itertools.product(hostile(watched).items(), DOORS):
        for media_type in (*PICKLES, *OTHERS, *READ):
            answer = await serving.post(path, content=body, headers={"content-type": media_type} if media_type else {})
            said = answer.json()
            if path.endswith(":validate") and answer.status_code == 200:
                assert said["valid"] is False, (
                    media_type,
                    title,
                    answer.text,
                )  # a verdict on rows, none of which is one
            else:
                assert 400 <= answer.status_code < 500, (path, media_type, title, answer.text)
                assert {"type", "error", "error_code"} & set(said)
            assert b"root:" not in answer.content
            tried += 1
    assert tried > 1000


@pytest.mark.parametrize(
    "media_type", [PICKLES[0], "application/yaml", "", "application/json", "multipart/form-data; boundary=edge"]
)
async def test_no_content_type_makes_a_route_of_the_api_server_deserialise(
    client: AsyncClient, victim: Estate, watched: Canary, media_type: str
) -> None:
    routes = [
        (verb, path)
        for path, verbs in openapi_document()["paths"].items()
        for verb in verbs
        if "requestBody" in verbs[verb]
    ]
    assert len(routes) > 25
    headers = {**victim.owner.headers, **({"content-type": media_type} if media_type else {})}
    bodies = hostile(watched)
    for verb, path in routes:
        for title in bodies if LONG else ("protocol 0", "protocol 5", "yaml", "jsonpickle"):
            answer = await client.request(verb, victim.path(path), content=bodies[title], headers=headers)
            assert 400 <= answer.status_code < 500, (verb, path, title, answer.text)
            assert b"root:" not in answer.content


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "pickle", "x-pickle", "gzip, pickle", "zstd", "br"])
async def test_no_content_encoding_hides_one(serving: AsyncClient, watched: Canary, encoding: str) -> None:
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)
    for protocol in range(6):
        for path in DOORS:
            headers = {"content-type": "application/json", "content-encoding": encoding}
            answer = await serving.post(path, content=pack(pickled(watched, protocol)), headers=headers)
            assert 400 <= answer.status_code < 500, (path, answer.text)


async def test_no_part_of_a_form_is_what_it_says_it_is(client: AsyncClient, victim: Estate, watched: Canary) -> None:
    """Text fields as files, files as text fields, each with a type of its own; an uploaded table's type is not looked at."""
    for protocol, media_type in itertools.product((0, 2, 5), PICKLES):
        code = pickled(watched, protocol)
        for name in ("project_id", "name", "tags", "signature", "sample_rows", "framework"):
            files = {"file": ("t.csv", CSV, media_type), name: ("x", code, media_type)}
            for path in ("/api/v1/datasets", "/api/v1/models/upload"):
                answer = await client.post(path, files=files, headers=victim.owner.headers)
                assert 400 <= answer.status_code < 500, (path, name, answer.text)


async def test_a_tensor_of_bytes_stays_bytes(serving: AsyncClient, watched: Canary) -> None:
    """In the protocol's JSON, in its binary form, and under names of types that numpy would make objects of."""
    for protocol, datatype in itertools.product(range(6), ("BYTES", "FP64", "OBJECT", "|O", "object", "PICKLE")):
        code = pickled(watched, protocol)
        shape = [1, 1]
        plain = {"name": "feature1", "datatype": datatype, "shape": shape}
        inline = json.dumps({"inputs": [{**plain, "data": [code.decode("latin-1")]}]}).encode()
        head = json.dumps({"inputs": [{**plain, "parameters": {"binary_data_size": len(code)}}]}).encode()
        for body, headers in ((inline, {}), (head + code, {"inference-header-content-length": str(len(head))})):
            answer = await serving.post(f"/v2/models/{MODEL}/infer", content=body, headers=headers)
            assert 400 <= answer.status_code < 500, answer.text


def with_pickled_type(code: bytes) -> Any:
    """A table one of whose columns says that its type is to be unpickled: what pyarrow before 14.0.1 did."""
    metadata = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": code}
    fields = [pa.field(name, pa.float64(), metadata=metadata if name == "feature1" else None) for name in ROW]
    pandas = {"pandas": json.dumps({"columns": [{"pandas_type": "object", "metadata": {"encoding": "pickle"}}]})}
    return pa.table([[value, value] for value in ROW.values()], schema=pa.schema(fields, metadata=pandas))


async def test_no_type_in_arrow_or_parquet_is_unpickled(serving: AsyncClient, watched: Canary, tmp_path: Path) -> None:
    for protocol in range(6):
        table = with_pickled_type(pickled(watched, protocol))
        stream, file = io.BytesIO(), io.BytesIO()
        with pyarrow.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        pq.write_table(table, file)
        for media_type, body in (("arrow.stream", stream.getvalue()), ("parquet", file.getvalue())):
            headers = {"content-type": f"application/vnd.apache.{media_type}"}
            answer = await serving.post(f"/predict/{MODEL}/batch", content=body, headers=headers)
            assert answer.status_code in {200, 400, 415, 422}, answer.text
        _profile(tmp_path / str(protocol), file.getvalue())


def _profile(folder: Path, data: bytes) -> None:
    """As an uploaded table, by the trainer's own reader, here where the hook listens."""
    folder.mkdir()
    (folder / "raw").write_bytes(data)
    task = ProfileTask(
        raw_file=folder / "raw",
        out_dir=folder / "out",
        scratch_dir=folder / "scratch",
        file_name="t.parquet",
        limits=Limits(memory_bytes=2**40),
    )
    for made in (task.out_dir, task.scratch_dir):
        made.mkdir()
    with (folder / "report").open("wb") as report, contextlib.suppress(Problem):
        profile(task, PipeReport(report.fileno()))


def test_no_code_of_ours_can_turn_bytes_into_objects_of_code() -> None:
    """The cause, not the symptom: what is imported nowhere cannot be reached by any request."""
    found: list[str] = []
    for folder in (*PRODUCT, *PRODUCT_TOO, *SDK):
        for path in (ROOT / folder).rglob("*.py"):
            found += [f"{path.relative_to(ROOT)}: {what}" for what in _loaders(ast.parse(path.read_text("utf-8")))]
    assert found == []


def _loaders(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name.split(".")[0] in CODE_LOADERS)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in CODE_LOADERS:
                yield module
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=False)):
                continue
            case ast.keyword(arg="allow_pickle"):
                yield "allow_pickle"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="load")):
                yield "numpy.load"
            case ast.Call(func=ast.Name(id="eval" | "exec")):
                yield "eval or exec"
            case _:
                continue
