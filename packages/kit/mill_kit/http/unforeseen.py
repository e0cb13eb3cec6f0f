"""The innermost layer of every service: what no handler foresaw is still answered with its request id, and counted."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mill_kit.http.problems import problem_response
from mill_kit.logs import get_logger
from mill_kit.problems import Problem


class Unforeseen:
    """Pure ASGI. An exception nobody handles becomes a bare problem *inside* request ids and metrics."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:
            if begun:
                raise
            problem = error if isinstance(error, Problem) else _internal()
            if problem.status == Problem.status:
                get_logger().error("unhandled_error", path=scope["path"], exc_info=error)
            await problem_response(problem, HTTPConnection(scope).url.path)(scope, receive, send)


def _internal() -> Problem:
    return Problem("Something went wrong on our side; the request id finds it in the logs.")
