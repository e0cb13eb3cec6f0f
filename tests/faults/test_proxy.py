"""The proxy passes bytes on as they are, and harms them as it is told."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy

DATA = bytes(range(256)) * 40


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says back what it hears."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    line, _ = server.accept()
                    threading.Thread(target=answer, args=(line,), daemon=True).start()

        def answer(line: socket.socket) -> None:
            with line, contextlib.suppress(OSError):
                while data := line.recv(65536):
                    line.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(server.getsockname()[1])
        stop.set()
        thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    made = Proxy(lambda: echo)
    yield made
    made.close()


def ask(proxy: Proxy, data: bytes = DATA, seconds: float = 10) -> bytes:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=seconds) as line:
        line.sendall(data)
        answer = b""
        while len(answer) < len(data):
            chunk = line.recv(65536)
            if not chunk:
                break
            answer += chunk
        return answer


def test_bytes_arrive_as_they_were_sent(proxy: Proxy) -> None:
    assert ask(proxy) == DATA


def test_slices_and_delays_change_no_byte(proxy: Proxy) -> None:
    proxy.weather.slice_bytes = 500
    assert ask(proxy) == DATA
    proxy.weather.clear()
    proxy.weather.delay = 0.2
    began = time.monotonic()
    assert ask(proxy, b"x") == b"x"
    assert time.monotonic() - began >= 0.4


def test_a_reset_is_a_reset_and_a_cut_an_end(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as line:
        line.sendall(b"x")
        assert line.recv(1) == b"x"
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            line.recv(1)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as line:
        line.sendall(b"x")
        assert line.recv(1) == b"x"
        proxy.cut()
        assert line.recv(1) == b""


def test_a_silent_line_is_open_and_says_nothing(proxy: Proxy) -> None:
    proxy.weather.silent = True
    with pytest.raises(TimeoutError):
        ask(proxy, b"x", 0.5)
    proxy.weather.clear()
    assert ask(proxy, b"x") == b"x"


def test_refused_connections_end_at_once(proxy: Proxy) -> None:
    proxy.weather.refuse = True
    with pytest.raises(ConnectionError):
        ask(proxy, b"x")
