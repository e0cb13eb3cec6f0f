"""Batches that are cheap enough are answered on the event loop, in the words of the lane; whatever is unusual goes the general way."""

import gzip
import http.client
import json
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import numpy as np
import pytest

LENGTH = "inference-header-content-length"
GENERAL = {"content_encoding": "identity"}
"""A header that the short way leaves to the general one."""

Post = Callable[..., "Answer"]
Request = tuple[str, bytes, dict[str, str]]


def rows(count: int) -> list[dict[str, Any]]:
    return [{"age": 20.5 + number % 60, "children": number % 4} for number in range(count)]


def matrix(count: int) -> np.ndarray[Any, Any]:
    return np.array([[row["age"], row["children"]] for row in rows(count)])


def own(count: int) -> Request:
    return "/predict/plain/batch", json.dumps({"inputs": rows(count)}).encode(), {"content-type": "application/json"}


def v2_json(count: int) -> Request:
    tensor = {"name": "all", "datatype": "FP64", "shape": [count, 2], "data": matrix(count).ravel().tolist()}
    return "/v2/models/plain/infer", json.dumps({"id": "7", "inputs": [tensor]}).encode(), {}


def v2_binary(count: int, kind: str = "FP64") -> Request:
    raw = matrix(count).astype({"FP64": "<f8", "FP32": "<f4"}[kind]).tobytes()
    tensor = {"name": "all", "datatype": kind, "shape": [count, 2], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return "/v2/models/plain/infer", head + raw, {LENGTH: str(len(head))}


REQUESTS = {
    "own": lambda: own(300),
    "V2 JSON": lambda: v2_json(1000),
    "V2 JSON, small": lambda: v2_json(3),
    "V2 binary": lambda: v2_binary(1000),
    "V2 binary, float32": lambda: v2_binary(1000, "FP32"),
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def document(self) -> dict[str, Any]:
        return json.loads(self.body)


@pytest.fixture
def post(demo: Any) -> Post:
    """Says no more than a test gives: clients' own headers may ask for what the short way leaves to the general one."""

    def send(request: Request, **more: str) -> Answer:
        path, body, headers = request
        connection = http.client.HTTPConnection(demo.url.removeprefix("http://"))
        try:
            connection.putrequest("POST", path, skip_accept_encoding=True)
            for name, value in {**headers, **more, "content-length": str(len(body))}.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    return send


def lane_runs(demo: Any) -> float:
    time.sleep(0.01)  # longer than a row keeps blocks away
    return float(demo.replica.metric("inference_lane_done_total"))


def said(answer: Answer) -> tuple[Any, bytes, str]:
    """What does not change from call to call: the document, the bytes behind it, the content type."""
    length = int(answer.headers.get(LENGTH, len(answer.body)))
    document = json.loads(answer.body[:length])
    for varying in ("total_processing_time", "average_time_per_prediction", "timestamp", "metadata"):
        document.pop(varying, None)
    return document, answer.body[length:], answer.headers["content-type"]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_short_batch_is_answered_on_the_event_loop_as_in_the_lane(name: str, post: Post, demo: Any) -> None:
    request = REQUESTS[name]()
    usual = post(request, **GENERAL)
    assert usual.status == 200, usual.body
    for _ in range(8):
        post(request)
    before = lane_runs(demo)
    short = post(request)
    assert lane_runs(demo) == before
    assert (short.status, said(short)) == (200, said(usual))
    assert len(short.headers["x-request-id"]) > 8
    assert short.headers["x-content-type-options"] == "nosniff"


def test_a_batch_beside_rows_goes_to_the_lane(post: Post, demo: Any) -> None:
    """Rows keep coming while batches are sent: none of the batches may take the rows' turns."""
    batch: Request = own(300)
    row: Request = ("/predict/plain", json.dumps({"input_data": rows(1)[0]}).encode(), {})
    for _ in range(8):
        post(batch)
    post(row)
    before, sent = lane_runs(demo), 0
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and lane_runs(demo) == before:
        with httpx.Client(base_url=demo.url) as client:
            for _ in range(20):
                client.post(row[0], content=row[1])
                client.post(batch[0], content=batch[1], headers=batch[2])
                sent += 1
    assert sent
    assert lane_runs(demo) > before


def unusual() -> dict[str, tuple[Request, int]]:
    path, body, headers = v2_binary(300)
    text = json.dumps({"inputs": [{"name": "all", "datatype": "FP64", "shape": [2, 2], "data": [1, 2, 3]}]}).encode()
    return {
        "a row without a feature": (("/predict/plain/batch", b'{"inputs": [{"age": 1}]}', {}), 422),
        "text for a number": (("/predict/plain/batch", b'{"inputs": [{"age": "x", "children": 1}]}', {}), 422),
        "bytes that are missing": ((path, body[:-8], headers), 400),
        "a length that is none": ((path, body, {LENGTH: "x"}), 400),
        "numbers that are too few": ((path, text, {}), 400),
        "not finite": ((path, body[:-8] + struct.pack("<d", float("inf")), headers), 422),
    }


@pytest.mark.parametrize("name", unusual())
def test_what_is_wrong_is_said_in_the_words_of_the_general_way(name: str, post: Post) -> None:
    request, status = unusual()[name]
    for warm in (own(300), v2_json(300), v2_binary(300)) * 4:
        post(warm)
    short, usual = post(request), post(request, **GENERAL)
    assert short.status == usual.status == status, short.body
    for answer in (short, usual):
        assert answer.headers["content-type"] in {"application/json", "application/problem+json"}
    assert {**short.document(), "request_id": ""} == {**usual.document(), "request_id": ""}


def test_an_answer_that_is_to_be_packed_is_packed(post: Post) -> None:
    request = v2_json(300)
    plain = post(request)
    packed = post(request, accept_encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert said(replace(packed, body=gzip.decompress(packed.body))) == said(plain)
