"""Real workers on a ledger of their own: processes to start, stop, freeze and kill, and the broker between."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mill_api.jobs.testing import Ledger, open_ledger
from mill_local.testing import DatabaseMaker, TestDatabase
from mill_local.valkey import ValkeyServer

HOST = Path(__file__).with_name("host.py")
FAST = {"lease_seconds": "1.5", "heartbeat_seconds": "0.3", "sweep_seconds": "0.5", "retry_seconds": "0"}


@dataclass
class Workers:
    """Starts worker processes on one database and one broker; ends them all."""

    environment: dict[str, str]
    folder: Path
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list["subprocess.Popen[bytes]"])

    def start(
        self,
        name: str = "one",
        queues: str = "data",
        concurrency: int = 1,
        command: Sequence[str] = (),
        **more: str,
    ) -> "subprocess.Popen[bytes]":
        """A worker whose children speak as the job says, or `command`."""
        options = ("--name", name, "--queues", queues, "--concurrency", str(concurrency))
        argv = command or (sys.executable, str(HOST), *options)
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(argv, env=self.environment | more, stdout=log, stderr=log)
        self.running.append(process)
        return process

    def log(self, name: str = "one") -> str:
        return (self.folder / f"{name}.log").read_text()

    def end(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


@pytest.fixture
async def fast_ledger(
    fresh_database: DatabaseMaker, migrated_template: TestDatabase, valkey_url: str
) -> AsyncIterator[tuple[Ledger, TestDatabase]]:
    urls = fresh_database(template=migrated_template.name)
    async with open_ledger(urls.owner_url, urls.app_url, urls.system_url, valkey_url) as ledger:
        yield ledger, urls


@pytest.fixture
def work_ledger(fast_ledger: tuple[Ledger, TestDatabase]) -> Ledger:
    """The ledger as the api-server has it: hints go through the broker."""
    return fast_ledger[0]


@pytest.fixture
def workers(fast_ledger: tuple[Ledger, TestDatabase], valkey_server: ValkeyServer, tmp_path: Path) -> Iterator[Workers]:
    urls = fast_ledger[1]
    folder = tmp_path / "installation"
    environment = {
        "PATH": os.environ["PATH"],
        "MILL_ENVIRONMENT": "test",
        "MILL_DATABASE__URL": urls.app_url,
        "MILL_DATABASE__SYSTEM_URL": urls.system_url,
        "MILL_BROKER__URL": valkey_server.url,
        "MILL_STORE__URL": f"file://{folder / 'objects'}",
        "MILL_WORKER__SCRATCH_DIR": str(tmp_path / "scratch"),
        **{f"MILL_WORKER__{name.upper()}": value for name, value in FAST.items()},
    }
    made = Workers(environment, tmp_path)
    yield made
    made.end()
