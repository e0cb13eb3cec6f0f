"""`python -m mill_api worker` as an operator runs it: the product's own kinds of job, its schedule, its health check."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from mill_api.jobs.testing import Ledger, until
from mill_api.storage.doomed import doom
from mill_contracts.ids import new_id
from mill_kit.store.folder import FileStore
from mill_kit.testing import MemoryStore

WORKER = (sys.executable, "-m", "mill_api", "worker", "--name", "real", "--queues", "general")


def check(workers: Any, name: str = "real") -> int:
    """The exit code of the health check that containers run."""
    command = [*WORKER[:4], "--check", "--name", name]
    return subprocess.run(command, env=workers.environment, check=False, timeout=60).returncode


async def test_the_scheduled_sweep_deletes_what_a_dead_process_left_and_the_check_tells_who_lives(
    work_ledger: Ledger, workers: Any, tmp_path: Path
) -> None:
    store, key = FileStore(tmp_path / "installation" / "objects"), f"models/{new_id()}/{new_id()}/model.mill"
    store.put(key, b"x")
    async with work_ledger.databases.app.writing(work_ledger.tenant) as work:
        await doom(work, MemoryStore(), [key])  # the process that would have deleted it is gone
    assert check(workers) == 1
    worker = workers.start("real", command=WORKER, MILL_HOUSEKEEPING__EVERY_SECONDS="1")

    async def swept() -> bool:
        return not store.exists(key)

    await until(swept, "the object is deleted")
    await work_ledger.until_heard()
    assert check(workers) == 0
    assert check(workers, "nobody") == 1

    async def several() -> bool:
        rows = await work_ledger.sql("SELECT count(*) FROM jobs WHERE kind = 'sweep' AND state = 'succeeded'")
        return rows[0][0] >= 2

    await until(several, "the schedule goes on")
    (result,) = (await work_ledger.sql("SELECT result FROM jobs WHERE state = 'succeeded' ORDER BY id LIMIT 1"))[0]
    assert result == {"doomed": 1, "expired": 0, "half_written": 0, "orphans": 0}
    assert not list(store.keys("jobs/")), "a job that says nothing leaves no log"
    worker.kill()

    async def missed() -> bool:
        return check(workers) == 1

    await until(missed, "the check finds the killed worker out")
