"""A tiny service behind nginx: says who it is, echoes what it was sent, streams. Run as a program, one process per replica."""

import json
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    """`/predict/refuse` and `/v2/models/refused/infer` with refusals of its own, `/predict/secured` with headers of its own, `…/events` in
    two parts, `…/slow` after five seconds, else an echo.
    """

    protocol_version = "HTTP/1.1"
    name = ""

    def do_GET(self) -> None:
        if self.path.endswith("/events"):
            self._stream()
        elif self.path.endswith("/slow"):
            time.sleep(5)
            self._answer(b"")
        else:
            self._answer(b"")

    def do_POST(self) -> None:
        if self.path == "/predict/refuse":
            self.rfile.read(int(self.headers["Content-Length"]))
            self._reply(422, b'{"status": 422, "detail": "said the service"}', "application/problem+json")
        elif self.path == "/v2/models/refused/infer":
            self.rfile.read(int(self.headers["Content-Length"]))
            self._reply(422, b'{"error": "said the service"}')
        elif self.path == "/predict/secured":
            self.rfile.read(int(self.headers["Content-Length"]))
            self._reply(200, b"{}", extra={"X-Frame-Options": "DENY", "Content-Security-Policy": "default-src 'self'"})
        elif self.headers.get("Transfer-Encoding") == "chunked" or self.path == "/api/v1/datasets":
            self._upload()
        else:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Nothing: the tests read answers."""

    def _upload(self) -> None:
        """Writes the time of the first byte to standard output, then reads to the end."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            total = 0
            while size := int(self.rfile.readline(), 16):
                total += len(self.rfile.read(size))
                self.rfile.readline()
                self._note(f"chunk {total}")
            self.rfile.readline()
        else:
            left = total = int(self.headers["Content-Length"])
            while left:
                part = self.rfile.read1(min(left, 65536))
                left -= len(part)
                self._note(f"read {total - left}")
        self._reply(201, json.dumps({"bytes": total}).encode())

    def _note(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def _answer(self, body: bytes) -> None:
        told = {"name": self.name, "path": self.path, "body": len(body), "headers": dict(self.headers.items())}
        self._reply(200, json.dumps(told).encode())

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"a\r\ndata: one\n\r\n")
        self.wfile.flush()
        time.sleep(30)

    def _reply(
        self, status: int, body: bytes, kind: str = "application/json", extra: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Powered-By", "something old")
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    Echo.name = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Echo)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
