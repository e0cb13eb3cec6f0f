"""Whatever comes to the V2 door, the answer is `{"error": "…"}` with the right status, soon, and the service goes on."""

import gzip
import json
import struct
import time
import zlib
from typing import Any

import httpx
import pytest

GOOD = {"name": "age", "datatype": "FP64", "shape": [1], "data": [30.0]}
CHILDREN = {"name": "children", "datatype": "INT64", "shape": [1], "data": [1]}
LENGTH = "inference-header-content-length"


def post(demo: Any, body: bytes, length: str | None = None, **headers: str) -> httpx.Response:
    sent = {**({LENGTH: length} if length is not None else {}), **headers}
    return demo.replica.http.post("/v2/models/plain/infer", content=body, headers=sent)


def framed(tensor: dict[str, Any], tail: bytes) -> tuple[bytes, str]:
    head = json.dumps({"inputs": [tensor, CHILDREN]}).encode()
    return head + tail, str(len(head))


def binary(shape: Any, datatype: Any, size: Any, name: str = "age") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


def test_a_good_request_passes(demo: Any) -> None:
    answer = post(demo, *framed(binary([1], "FP64", 8), struct.pack("<d", 30.0)))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("length", ["1000000", "-5", "99999999999999999999", "abc", "0", "1e2", "５", "+3"])
def test_a_header_length_beyond_the_body_is_refused(demo: Any, length: str) -> None:
    body, _ = framed(binary([1], "FP64", 8), struct.pack("<d", 30.0))
    answer = demo.replica.http.post(
        "/v2/models/plain/infer", content=body, headers=[(LENGTH.encode(), length.encode())]
    )
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    ("tensor", "tail"),
    [
        (binary([1], "FP64", 800), b"\0" * 8),
        (binary([1], "FP64", -8), b"\0" * 8),
        (binary([1], "FP64", 8.0), b"\0" * 8),
        (binary([1], "FP64", True), b"\0" * 8),
        (binary([1], "FP64", "8"), b"\0" * 8),
        (binary([2], "FP64", 8), b"\0" * 8),
        (binary([1], "FP32", 8), b"\0" * 8),
        (binary([1], "FP64", 8), b"\0" * 16),
        (binary([1 << 62, 1 << 62], "FP64", 8), b"\0" * 8),
        (binary([1 << 40], "FP64", 8), b"\0" * 8),
        (binary([-1], "FP64", 8), b"\0" * 8),
        (binary([0], "FP64", 0), b""),
        (binary([], "FP64", 8), b"\0" * 8),
        (binary([1] * 100, "FP64", 8), b"\0" * 8),
        (binary([1], "COMPLEX", 8), b"\0" * 8),
        (binary([1], "BYTES", 8), struct.pack("<I", 2_000_000_000) + b"abcd"),
        (binary([1], "BYTES", 3), b"abc"),
        (binary([100_000_000], "BYTES", 8), b"\0" * 8),
        (binary([2], "BYTES", 4), b"\0" * 4),
        (binary([1], "BYTES", 6, "age"), struct.pack("<I", 2) + b"\xff\xfe"),
        ({**GOOD, "parameters": {"binary_data_size": 8}}, b"\0" * 8),
    ],
)
def test_tensors_that_contradict_themselves_are_refused(demo: Any, tensor: dict[str, Any], tail: bytes) -> None:
    begun = time.perf_counter()
    answer = post(demo, *framed(tensor, tail))
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"error"}
    assert time.perf_counter() - begun < 1.0


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"inputs": []},
        {"inputs": {}},
        {"inputs": [{"name": "age"}]},
        {"inputs": [GOOD]},
        {"inputs": [GOOD, GOOD, CHILDREN]},
        {"inputs": [{**GOOD, "data": [1.0, 2.0]}, CHILDREN]},
        {"inputs": [{**GOOD, "data": ["forty"]}, CHILDREN]},
        {"inputs": [{**GOOD, "data": [True]}, CHILDREN]},
        {"inputs": [{**GOOD, "data": [[[[[[1.0]]]]]]}, CHILDREN]},
        {"inputs": [{**GOOD, "shape": [2], "data": [1.0, 2.0]}, CHILDREN]},
        {"inputs": [{**GOOD, "shape": [1, 2], "data": [1.0, 2.0]}, CHILDREN]},
        {"inputs": [{"name": "age", "datatype": "FP64", "shape": [1]}, CHILDREN]},
        {"inputs": [GOOD, CHILDREN, {**GOOD, "name": "agee"}]},
        {"inputs": [{**GOOD, "data": [1e999]}, CHILDREN]},
        {"inputs": [GOOD, CHILDREN], "outputs": [{"name": "nothing"}]},
        {"inputs": [GOOD, {**CHILDREN, "datatype": "FP64", "data": [1.5]}]},
    ],
)
def test_json_that_is_no_request_is_refused(demo: Any, document: Any) -> None:
    answer = post(demo, json.dumps(document).encode())
    assert answer.status_code in (400, 422), answer.text
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"inputs": [NaN', b"NaN", b'"NaN"'])
def test_bodies_that_are_no_json_are_refused(demo: Any, body: bytes) -> None:
    answer = post(demo, body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models/nothing", 401),
        ("GET", "/v2/models/plain/versions/9", 401),
        ("GET", "/v2/models/plain/infer", 405),
        ("POST", "/v2", 405),
        ("POST", "/v2/health/live", 405),
        ("POST", "/v2/models/plain/config", 405),
        ("POST", "/v2/repository/models/plain/load", 401),
        ("GET", "/v2/repository/models/plain/load", 405),
        ("POST", "/v2/systemsharedmemory/region/x/register", 404),
    ],
)
def test_every_refusal_has_the_shape_of_the_protocol(demo: Any, method: str, path: str, status: int) -> None:
    answer = demo.replica.http.request(method, path)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert ("allow" in answer.headers) == (status == 405)


def test_packed_bodies_are_unpacked_no_further_than_allowed(demo: Any) -> None:
    bomb = b" " * (64 << 20)
    for packed, name in ((gzip.compress(bomb), "gzip"), (zlib.compress(bomb), "deflate")):
        assert len(packed) < 200_000
        for path in ("/v2/models/plain/infer", "/predict/plain/batch", "/models/plain/invocations"):
            answer = demo.replica.http.post(path, content=packed, headers={"content-encoding": name})
            assert answer.status_code == 413, answer.text
    one = demo.replica.http.post("/predict/plain", content=gzip.compress(bomb), headers={"content-encoding": "gzip"})
    assert one.status_code == 413
    many = zlib.compress(b"") * 100_000
    assert post(demo, many, None, **{"content-encoding": "deflate"}).status_code in (400, 422)
    assert post(demo, gzip.compress(b"") * 5_000, None, **{"content-encoding": "gzip"}).status_code in (400, 422)
    twice = gzip.compress(gzip.compress(bomb))
    assert post(demo, twice, None, **{"content-encoding": "gzip"}).status_code == 400
    assert post(demo, b"plain", None, **{"content-encoding": "gzip"}).status_code in (400, 422)
    assert post(demo, b"{}", None, **{"content-encoding": "br"}).status_code == 415


def test_too_large_a_body_is_refused_in_the_shape_of_the_protocol(demo: Any) -> None:
    answer = post(demo, b" " * ((16 << 20) + 1))
    assert answer.status_code == 413
    assert set(answer.json()) == {"error"}
    rows = 10_001
    many = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [rows, 2], "data": [1.0] * (2 * rows)}]}
    answer = post(demo, json.dumps(many).encode())
    assert answer.status_code == 413
    assert "10,001 rows" in answer.json()["error"]


def test_answers_are_packed_where_that_is_asked_for(demo: Any) -> None:
    body = json.dumps(
        {"inputs": [{"name": "x", "datatype": "FP64", "shape": [200, 2], "data": [30.0, 1.0] * 200}]}
    ).encode()
    for name in ("gzip", "deflate"):
        answer = post(demo, body, None, **{"accept-encoding": name})
        assert answer.headers["content-encoding"] == name
        assert answer.json()["outputs"][0]["shape"] == [200]
    assert "content-encoding" not in post(demo, body, None, **{"accept-encoding": "identity"}).headers
    assert "content-encoding" not in post(demo, body, None, **{"accept-encoding": "gzip;q=0"}).headers


def test_a_deadline_that_is_none_is_refused_in_the_shape_of_the_protocol(demo: Any) -> None:
    answer = post(demo, b"{}", None, **{"x-request-deadline-ms": "soon"})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error"}
