"""What a connection may make the service hold, on real sockets: heads and bodies that are large, slow, or a stranger's."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from shutil import copy
from typing import Any

import psutil
import pytest
from mill_contracts.ids import new_id

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
MEGABYTE = 1 << 20
SLOW = {"HEAD_SECONDS": "2", "PAUSE_SECONDS": "2", "BODY_SECONDS": "4", "IDLE_SECONDS": "2"}


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, build: Any, control_plane: Any, launch: Any, reach: Any
) -> Iterator[tuple[Any, str]]:
    """An impatient replica with a demo model, a model of a workspace, and a key for it."""
    folder = tmp_path_factory.mktemp("bounds")
    control, workspace = control_plane(folder), new_id()
    (folder / "shared").mkdir()
    copy(build("demo").path, folder / "shared" / "demo.mill")
    control.routes += [control.route(build("census"), workspace), control.route(build("open"), workspace, public=True)]
    key = control.api_key(workspace)
    control.publish()
    patience = {f"MILL_CONNECTIONS__{name}": value for name, value in SLOW.items()}
    with launch(folder, **patience, MILL_SERVING__SHARED_MODELS_DIR=str(folder / "shared")) as replica:
        reach(lambda: replica.predict("census", key).status_code == 200)
        yield replica, key


@pytest.fixture
def line(place: Any) -> Iterator[socket.socket]:
    url = place[0].http.base_url
    with socket.create_connection((url.host, url.port), timeout=15) as connection:
        yield connection


def head(path: str, length: int | str, *headers: str) -> bytes:
    framing = "Transfer-Encoding: chunked" if length == "chunked" else f"Content-Length: {length}"
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", framing, *headers, "", ""]).encode()


def send(line: socket.socket, *parts: bytes, pause: float = 0.0) -> None:
    """All of it, or until the server has had enough."""
    with suppress(ConnectionError):
        for part in parts:
            line.sendall(part)
            time.sleep(pause)


def answer(line: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and document of what comes until the server closes; (0, {}) where that is nothing."""
    data = b""
    with suppress(ConnectionError):
        while received := line.recv(65536):
            data += received
    top, _, body = data.partition(b"\r\n\r\n")
    return (int(top.split()[1]), json.loads(body)) if top else (0, {})


def slug(document: dict[str, Any]) -> str:
    return str(document.get("type", "")).rpartition(":")[2]


def test_a_head_that_is_too_large_is_refused_however_it_comes(place: Any) -> None:
    replica, _ = place
    url, before = replica.http.base_url, psutil.Process(replica.process.pid).memory_info().rss
    many = b"".join(b"x-%d: y\r\n" % number for number in range(200))
    long = [b"GET /health HTTP/1.1\r\nx-big: ", *[b"x" * 16_384] * 320, b"\r\n\r\n"]
    whole = b"GET /health HTTP/1.1\r\nx-big: " + b"x" * 100_000 + b"\r\n\r\n"
    for parts in (long, [b"GET /health HTTP/1.1\r\n" + many + b"\r\n"], [whole]):
        with socket.create_connection((url.host, url.port), timeout=15) as line:
            send(line, *parts)
            status, document = answer(line)
            assert (status, slug(document)) == (431, "headers-too-large")
    assert psutil.Process(replica.process.pid).memory_info().rss - before < 4 * MEGABYTE


def test_an_ordinary_head_may_come_in_pieces_and_again_on_its_connection(line: socket.socket) -> None:
    body = json.dumps({"input_data": ROW}).encode()
    for _ in range(3):
        for piece in (b"POST /predict/demo HT", b"TP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 20_000):
            line.sendall(piece)
            time.sleep(0.05)
        line.sendall(b"\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        data = b""
        while not data.endswith(b"}"):
            data += line.recv(65536)
        assert data.startswith(b"HTTP/1.1 200 ")


def test_a_head_that_does_not_come_is_given_up(line: socket.socket) -> None:
    begun = time.monotonic()
    line.sendall(b"POST /predict/demo HTTP/1.1\r\nHost: x\r\n")
    status, document = answer(line)
    assert (status, slug(document)) == (408, "too-slow")
    assert time.monotonic() - begun < 10


def test_a_connection_that_says_nothing_is_closed(line: socket.socket) -> None:
    begun = time.monotonic()
    assert answer(line)[0] in {0, 408}
    assert time.monotonic() - begun < 10


def test_a_connection_at_rest_is_closed_after_a_while(line: socket.socket) -> None:
    body = json.dumps({"input_data": ROW}).encode()
    line.sendall(head("/predict/demo", len(body)) + body)
    data = b""
    while not data.endswith(b"}"):
        data += line.recv(65536)
    assert data.startswith(b"HTTP/1.1 200 ")
    begun = time.monotonic()
    assert line.recv(10) == b""
    assert 1 < time.monotonic() - begun < 10


@pytest.mark.parametrize("path", ["/predict/demo", "/invocations"])
def test_a_body_that_pauses_is_given_up(line: socket.socket, path: str) -> None:
    """One that is answered the short way, and one that an application reads."""
    begun = time.monotonic()
    line.sendall(head(path, 1000, "Content-Type: application/json") + b" " * 100)
    status, document = answer(line)
    assert status in {408, 401, 404}, document
    assert time.monotonic() - begun < 10


def test_a_body_that_trickles_is_given_up(line: socket.socket) -> None:
    begun = time.monotonic()
    send(line, head("/predict/demo", 1000), *[b" "] * 24, pause=0.3)
    assert answer(line)[0] == 408
    assert time.monotonic() - begun < 12


@pytest.mark.parametrize(
    "path", ["/predict/census", "/predict/census/batch", "/v2/models/census/infer", "/invocations"]
)
@pytest.mark.parametrize("length", [MEGABYTE - 1000, "chunked"])
def test_a_stranger_is_refused_before_the_body_has_come(line: socket.socket, path: str, length: int | str) -> None:
    line.sendall(head(path, length, "X-API-Key: mm_guessed") + (b"10\r\n" + b" " * 16 if length == "chunked" else b" "))
    status, document = answer(line)
    assert (status, slug(document)) == (401, "credentials-refused")


def test_a_stranger_who_goes_on_sending_reads_the_refusal_and_costs_no_memory(place: Any, line: socket.socket) -> None:
    replica, _ = place
    before = psutil.Process(replica.process.pid).memory_info().rss
    send(line, head("/predict/census/batch", 14 * MEGABYTE), *[b" " * 65536] * 64)
    status, document = answer(line)
    assert (status, slug(document)) == (401, "credentials-missing")
    assert document["request_id"]
    assert psutil.Process(replica.process.pid).memory_info().rss - before < 4 * MEGABYTE


def test_who_has_a_key_may_send_a_large_body(place: Any) -> None:
    replica, key = place
    body = json.dumps({"inputs": [ROW] * 5}).encode() + b" " * 2 * MEGABYTE
    answered = replica.http.post("/predict/census/batch", content=body, headers={"x-api-key": key})
    assert answered.status_code == 200, answered.text


def test_anybody_may_send_one_to_a_model_that_comes_with_the_service(place: Any) -> None:
    replica, _ = place
    body = json.dumps({"inputs": [ROW] * 5}).encode() + b" " * 2 * MEGABYTE
    assert replica.http.post("/predict/demo/batch", content=body).status_code == 200


@pytest.mark.parametrize(
    "path", ["/predict/open", "/predict/open/batch", "/models/open:validate", "/models/open/invocations"]
)
@pytest.mark.parametrize("padding", [0, 2 * MEGABYTE])
def test_anybody_may_ask_a_public_model_in_as_many_packets_as_it_takes(
    place: Any, line: socket.socket, path: str, padding: int
) -> None:
    document: Any = {"input_data": ROW} if path == "/predict/open" else {"inputs": [ROW]}
    body = json.dumps(document).encode() + b" " * padding
    send(line, head(path, len(body), "Content-Type: application/json", "Connection: close"), body, pause=0.05)
    assert answer(line)[0] == 200


def test_a_body_that_is_announced_as_too_large_is_refused_before_it_comes(place: Any, line: socket.socket) -> None:
    send(line, head("/predict/demo/batch", 10**12, "Connection: close"), b"{")
    assert answer(line)[0] == 413


def test_trailers_are_no_headers(place: Any, line: socket.socket) -> None:
    body = json.dumps({"input_data": ROW}).encode()
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\nContent-Encoding: gzip\r\n\r\n"
    send(line, head("/predict/demo", "chunked", "Connection: close") + chunk)
    assert answer(line)[0] == 200
