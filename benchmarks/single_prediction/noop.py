"""The yardstick: an ASGI app that reads the body and answers a fixed one, on the same server with the same settings.

`python noop.py PORT [FILE]`: with a file its bytes are the answer, so that it is as long as the answer it is compared with.
"""

import sys
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

_BODY = b'{"model_id":"0","prediction":"0","confidence_score":1.0,"probabilities":null,"metadata":{}}'


def answering(body: bytes) -> ASGIApp:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body", False):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    uvicorn.run(
        answering(Path(sys.argv[2]).read_bytes() if len(sys.argv) > 2 else _BODY),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
    )
