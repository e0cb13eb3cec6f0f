"""Starts, checks, holds and stops the servers of one model. Every server is asked for a right answer before it is measured."""

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from mill_local.ports import free_port

from benchmarks.common.published import SECRET
from benchmarks.serving import forms
from benchmarks.serving.forms import Form, Request, WrongAnswerError
from benchmarks.serving.models import Model
from benchmarks.serving.tree import MARK, Tree

START_SECONDS: Final = 180.0
AWAKE_SECONDS: Final = 60.0
Kind = Literal["no-op", "ours", "peer", "reported"]
Asking = Literal["row", "json", "binary"]


class StartError(Exception):
    """The reason."""


@dataclass(frozen=True)
class Server:
    """`commands` start it, all in one environment `variables`; the first listens on `port`, or the last where a proxy is in front."""

    name: str
    kind: Kind
    port: int
    commands: Sequence[Sequence[str]]
    forms: Mapping[Asking, Sequence[Form]]
    variables: Sequence[Mapping[str, str]]
    folder: Path
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    holdable: bool = True


class Running:
    """A started server. `close` ends every process of it."""

    def __init__(self, server: Server, log: Path) -> None:
        self.server, self.log = server, log
        self._mark = f"{server.name}-{server.port}"
        with log.open("ab") as output:
            self.processes = [
                subprocess.Popen(
                    list(command),
                    env={**variables, MARK: self._mark},
                    cwd=server.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                for command, variables in zip(server.commands, server.variables, strict=True)
            ]
        self.tree = Tree(self.processes[0].pid, self._mark)

    def await_right_answers(self, model: Model) -> None:
        """Each form once. Raises `StartError`."""
        deadline = time.monotonic() + START_SECONDS
        for asking, several in self.server.forms.items():
            for form in several:
                self._await(model, form, 1 if asking == "row" else len(model.rows), deadline)

    def _await(self, model: Model, form: Form, rows: int, deadline: float) -> None:
        request = with_headers(form.request(model, model.rows[:rows]), self.server.headers)
        while True:
            if any(process.poll() is not None for process in self.processes):
                raise StartError(f"it ended by itself: {self._last_words()}")
            try:
                status, body, headers = ask(self.server.port, request, 30.0)
            except (OSError, http.client.HTTPException) as error:
                failed = f"{form.name}: {error!r}"
            else:
                if status == 200:
                    return _checked(model, form, body, headers)
                failed = f"{form.name}: status {status}: {body[:300]!r}"
            if time.monotonic() > deadline:
                raise StartError(f"no answer after {START_SECONDS:.0f} s: {failed}; {self._last_words()}")
            time.sleep(0.2)

    def wake(self, request: Request) -> None:
        """Let it run again and wait until it answers. Raises `StartError`."""
        self.tree.let_go()
        deadline = time.monotonic() + AWAKE_SECONDS
        while time.monotonic() < deadline:
            try:
                ask(self.server.port, request, 10.0)
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
                continue
            return
        raise StartError("it did not answer again after it was held")

    def hold(self) -> None:
        if self.server.holdable:
            self.tree.hold()

    def close(self) -> None:
        self.tree.let_go()
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 15
        while self.tree.processes() and time.monotonic() < deadline:
            for process in self.processes:
                process.poll()
            time.sleep(0.1)
        self.tree.kill()
        for process in self.processes:
            process.wait()

    def _last_words(self) -> str:
        return " ".join(self.log.read_text(errors="replace").split())[-600:]


def with_headers(request: Request, headers: Mapping[str, str]) -> Request:
    return Request(request.path, request.body, {**request.headers, **headers})


def ask(port: int, request: Request, seconds: float) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers (names in small letters) of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("POST", request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def _checked(model: Model, form: Form, body: bytes, headers: Mapping[str, str]) -> None:
    try:
        forms.check(model, 0, form.read(model, body, headers))
    except (WrongAnswerError, KeyError, ValueError, TypeError) as error:
        raise StartError(f"{form.name}: wrong answer: {error!r}; it begins {body[:200]!r}") from error


OUR_FORMS: Final[Mapping[Asking, Sequence[Form]]] = {
    "row": (forms.OUR_ROW,),
    "json": (forms.OUR_BATCH, forms.OUR_V2_JSON),
    "binary": (forms.OUR_ARROW, forms.OUR_V2_BINARY),
}
OUR_HEADERS: Final = {"x-api-key": SECRET}


def base_environment() -> dict[str, str]:
    """One thread for every numeric library: a request is answered on the thread that took it."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def ports(count: int) -> list[int]:
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)
