"""Sandboxes for the attacks on model files, one for each framework, started when first needed."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mill_contracts.adoption import ModelFramework
from mill_trainer.adopt.sandbox.client import Reply, Sandbox

from tests.security.payloads import Canary, canary


class Rooms:
    """What a file from outside meets, with both canaries watching."""

    def __init__(self, stack: ExitStack, watched: Canary) -> None:
        self._stack = stack
        self._open: dict[ModelFramework, Sandbox] = {}
        self.canary = watched

    def sandbox(self, framework: ModelFramework) -> Sandbox:
        if framework not in self._open:
            made = Sandbox(framework, memory_bytes=2**30, seconds=30)
            self._open[framework] = self._stack.enter_context(made)
        return self._open[framework]

    def refusal(self, framework: ModelFramework, data: bytes) -> dict[str, Any]:
        """Why a file is refused: it must be in words, with no code run and the sandbox's server standing."""
        reply = self.sandbox(framework).ask("read", data)
        self.unharmed()
        assert reply.said is not None, reply.reason
        assert "refused" in reply.said, "it was accepted"
        return reply.said["refused"]

    def asked(self, framework: ModelFramework, data: bytes) -> Reply:
        reply = self.sandbox(framework).ask("read", data)
        self.unharmed()
        return reply

    def unharmed(self) -> None:
        assert not self.canary.sang
        assert all(sandbox.alive for sandbox in self._open.values())


@contextmanager
def rooms_in(folder: Path) -> Generator[Rooms]:
    with ExitStack() as stack:
        yield Rooms(stack, stack.enter_context(canary(folder)))
