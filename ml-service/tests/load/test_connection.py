"""The short way through uvicorn, byte by byte on real sockets: whatever a client does, answers are those of the usual way."""

import json
import socket
from collections.abc import Iterator
from shutil import copy
from typing import Any

import pytest

BODY = json.dumps({"input_data": {"age": 40.0, "hours": 38.0, "city": "Oslo"}}).encode()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, build: Any, launch: Any) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("connection")
    copy(build("demo").path, folder / "demo.mill")
    with launch(folder, store=False, MILL_SERVING__SHARED_MODELS_DIR=str(folder)) as replica:
        assert replica.predict("demo").status_code == 200  # from here on the path is known, and hot
        yield replica


@pytest.fixture
def line(demo: Any) -> Iterator[socket.socket]:
    address = (demo.http.base_url.host, demo.http.base_url.port)
    with socket.create_connection(address, timeout=10) as connection:
        yield connection


def request(body: bytes = BODY, path: str = "/predict/demo", *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def read_answers(line: socket.socket, count: int) -> list[tuple[int, dict[bytes, bytes], Any]]:
    """So many answers, or fewer when the server closes."""
    found: list[tuple[int, dict[bytes, bytes], Any]] = []
    data = b""
    while len(found) < count:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if separator:
            first, *lines = head.split(b"\r\n")
            headers = {name.lower(): value for name, _, value in (text.partition(b": ") for text in lines)}
            length = int(headers.get(b"content-length", b"0"))
            if len(rest) >= length:
                found.append((int(first.split()[1]), headers, json.loads(rest[:length] or b"null")))
                data = rest[length:]
                continue
        received = line.recv(65536)
        if not received:
            break
        data += received
    return found


def test_requests_sent_together_are_answered_in_order(line: socket.socket) -> None:
    ids = [f"request-{number:03}" for number in range(20)]
    batch = json.dumps({"inputs": [json.loads(BODY)["input_data"]] * 3}).encode()
    sent = b"".join(
        request(BODY, "/predict/demo", f"X-Request-ID: {name}")
        if number % 3
        else request(batch, "/predict/demo/batch", f"X-Request-ID: {name}")
        for number, name in enumerate(ids)
    )
    line.sendall(sent)
    answers = read_answers(line, len(ids))
    assert [status for status, _, _ in answers] == [200] * len(ids)
    assert [headers[b"x-request-id"].decode() for _, headers, _ in answers] == ids
    assert [body["metadata"]["request_id"] for _, _, body in answers] == ids
    assert all(b"date" in headers for _, headers, _ in answers)


def test_a_request_may_come_byte_by_byte(line: socket.socket) -> None:
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in request():
        line.sendall(bytes([byte]))
    assert read_answers(line, 1)[0][0] == 200


def test_a_chunked_body_is_read(line: socket.socket) -> None:
    head = b"POST /predict/demo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    middle = len(BODY) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:middle], BODY[middle:]))
    line.sendall(head + chunks + b"0\r\n\r\n" + request())
    assert [status for status, _, _ in read_answers(line, 2)] == [200, 200]


def test_a_client_that_asks_may_continue_or_close(line: socket.socket) -> None:
    line.sendall(request(b"", "/predict/demo", "Expect: 100-continue").replace(b"Length: 0", b"Length: %d" % len(BODY)))
    assert line.recv(1000).startswith(b"HTTP/1.1 100 ")
    line.sendall(BODY)
    assert read_answers(line, 1)[0][0] == 200
    line.sendall(request(BODY, "/predict/demo", "Connection: close"))
    assert read_answers(line, 2)[0][1][b"connection"] == b"close"
    assert line.recv(10) == b""


def test_an_old_client_is_answered_and_let_go(line: socket.socket) -> None:
    line.sendall(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert read_answers(line, 2)[0][0] == 200


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 422), (b"{", 422), (b'{"input_data": {}}', 422), (b" " * 100_000 + BODY, 200)]
)
def test_what_is_unusual_goes_the_usual_way_and_the_connection_lives_on(
    line: socket.socket, body: bytes, status: int
) -> None:
    line.sendall(request(body) + request())
    assert [found for found, _, _ in read_answers(line, 2)] == [status, 200]


def test_a_malformed_request_is_refused(line: socket.socket) -> None:
    line.sendall(request() + b"NONSENSE\r\n\r\n")
    data = b""
    while received := line.recv(65536):
        data += received
    assert data.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 400 " in data


def test_every_answer_is_counted_once(demo: Any, line: socket.socket) -> None:
    def counts() -> list[float]:
        answered = 'http_requests_total{{method="POST",route="/predict/{{model}}",status="{}"}}'
        outcomes = 'inference_requests_total{{model="demo",status="{}"}}'
        names = [answered.format(200), answered.format(422), outcomes.format("success"), outcomes.format("invalid")]
        return [demo.metric(name) for name in names]

    before = counts()
    line.sendall(request() * 3 + request(b'{"input_data": {}}') * 2)
    assert len(read_answers(line, 5)) == 5
    assert [after - earlier for after, earlier in zip(counts(), before, strict=True)] == [3, 2, 3, 2]


def test_a_client_that_leaves_in_the_middle_harms_nobody(demo: Any) -> None:
    address = (demo.http.base_url.host, demo.http.base_url.port)
    for end in (10, 60, len(request()) - 1):
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(request()[:end])
    assert demo.predict("demo").status_code == 200
    assert demo.metric("active_requests") == 1
