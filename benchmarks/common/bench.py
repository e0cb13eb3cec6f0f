"""What every question is given: a temporary folder, whether to hurry, one embedded stack, and a way to say how far it is."""

import secrets
import sys
import time
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from mill_local import control
from mill_local.home import Home, StackState
from mill_local.ports import free_port
from modelmill import Client, Project


class Bench:
    """The stack starts when it is first asked for, in `folder`, and is stopped at the end whatever happened."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        self.closing = ExitStack()
        self._begun = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.close()

    def say(self, line: str) -> None:
        print(f"[{time.perf_counter() - self._begun:5.0f} s] {line}", file=sys.stderr, flush=True)

    @cached_property
    def stack(self) -> StackState:
        self.say("starting the embedded stack")
        home = Home(self.folder / "stack")
        options = ["--api-port", str(free_port()), "--serving-port", str(free_port())]
        state = control.start_detached(home, options, lambda _: None)
        self.closing.callback(control.stop, home)
        return state

    def pid(self, part: str) -> int:
        return next(known.pid for known in self.stack.parts if known.name == part and known.pid is not None)

    @cached_property
    def mill(self) -> Client:
        """Signed in as the only user of the stack."""
        username, password = "bench", secrets.token_urlsafe(12)
        with Client(self.stack.api_url) as anyone:
            anyone.auth.register(email="bench@example.com", username=username, password=password)
        return self.closing.enter_context(Client(self.stack.api_url, username=username, password=password))

    @cached_property
    def project(self) -> Project:
        return self.mill.projects.create("Benchmarks")
