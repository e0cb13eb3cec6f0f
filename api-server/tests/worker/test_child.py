"""The child process: what it says, how it ends, and that nothing of it outlives its worker."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mill_api.worker.child.process import Command, Ears, Ending, run_child
from mill_contracts.wire import LogLine, Progress, Refused, Stage, Succeeded

SPEAKER = Path(__file__).with_name("speaker.py")
DONE: dict[str, Any] = {"say": {"kind": "succeeded", "files": []}}
REFUSED = {
    "kind": "refused",
    "problem": {"type": "urn:modelmill:problem:x", "title": "x", "status": 422, "detail": "no target"},
}

Heard = list[Stage | Progress | LogLine]


def command(folder: Path, *steps: dict[str, Any], memory: int = 0, timeout: float = 30, grace: float = 1) -> Command:
    task = folder / "task.json"
    task.write_text(json.dumps({"steps": steps, "out_dir": str(folder)}))
    argv = (sys.executable, str(SPEAKER), "speak", "--task", str(task))
    return Command(argv, {"PATH": os.environ["PATH"]}, folder, memory, timeout, grace)


async def hear(command: Command) -> tuple[Ending, Heard, list[str]]:
    said: Heard = []
    output: list[str] = []
    return await run_child(command, Ears(said.append, output.append)), said, output


async def until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_what_the_child_says_is_heard_in_order(tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"say": {"kind": "stage", "stage": "fitting"}},
        {"say": {"kind": "progress", "fraction": 0.5}},
        {"say": {"kind": "log", "message": "half"}},
        {"print": "plain text"},
        DONE,
    ]
    ending, said, output = await hear(command(tmp_path, *steps))
    assert said == [Stage(stage="fitting"), Progress(fraction=0.5), LogLine(message="half")]
    assert output == ["plain text"]
    assert ending.outcome == Succeeded(files=())
    assert ending.returncode == 0


async def test_a_refusal_is_an_outcome(tmp_path: Path) -> None:
    ending, _, _ = await hear(command(tmp_path, {"say": REFUSED}))
    assert isinstance(ending.outcome, Refused)
    assert ending.outcome.problem.detail == "no target"


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ({"signal": int(signal.SIGSEGV)}, "was killed by SIGSEGV"),
        ({"exit": 3}, "ended with status 3 and without an outcome"),
        ({"exit": 0}, "ended with status 0 and without an outcome"),
    ],
)
async def test_a_crash_names_the_signal_or_the_status(tmp_path: Path, step: dict[str, Any], reason: str) -> None:
    ending, _, _ = await hear(command(tmp_path, step))
    assert ending.outcome is None
    assert ending.reason == reason


async def test_a_command_that_does_not_exist_is_a_crash(tmp_path: Path) -> None:
    missing = Command(("/no/such/program",), {}, tmp_path, 0, 5, 1)
    ending, _, _ = await hear(missing)
    assert "could not be started" in ending.reason


async def test_nonsense_on_the_pipe_is_shown_and_never_believed(tmp_path: Path) -> None:
    nonsense: tuple[dict[str, Any], ...] = (
        {"say": "{not json"},
        {"say": {"kind": "progress", "fraction": 7}},
        {"say": "x" * 5_000_000},
        DONE,
    )
    ending, said, output = await hear(command(tmp_path, *nonsense))
    assert said == []
    assert all(line.startswith("not a message: ") for line in output)
    assert len(output) >= 2
    assert ending.outcome == Succeeded(files=())


async def test_too_much_memory_ends_the_child(tmp_path: Path) -> None:
    ending, _, _ = await hear(command(tmp_path, {"hold": 200 * 2**20}, memory=100 * 2**20))
    assert ending.memory_exceeded
    assert ending.outcome is None


async def test_too_much_time_ends_the_child_and_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    steps = ({"deaf": True}, {"spawn": str(pid_file)}, {"wait_for": "/nowhere"})
    ending, _, _ = await hear(command(tmp_path, *steps, timeout=1.5, grace=0.3))
    assert ending.timed_out
    await until(lambda: not is_alive(int(pid_file.read_text())), "the grandchild is gone")


async def test_a_grandchild_does_not_outlive_a_child_that_ends_well(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    ending, _, _ = await hear(command(tmp_path, {"spawn": str(pid_file)}, DONE))
    assert ending.outcome == Succeeded(files=())
    await until(lambda: not is_alive(int(pid_file.read_text())), "the grandchild is gone")


async def test_cancelling_leaves_no_process(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    steps = ({"touch": str(pid_file)}, {"wait_for": "/nowhere"})
    running = asyncio.create_task(hear(command(tmp_path, *steps)))
    await until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"), "the child runs")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not is_alive(int(pid_file.read_text())), "the child is gone")


HOST = """
import asyncio, sys
from pathlib import Path
from mill_api.worker.child.process import Command, Ears, run_child
command = Command(sys.argv[2:], {}, Path(sys.argv[1]), 0, 60, 1)
asyncio.run(run_child(command, Ears(lambda said: None, lambda line: None)))
"""


@pytest.mark.parametrize("victim", ["host", "runner"])
async def test_killing_the_host_or_the_runner_with_9_leaves_no_process(tmp_path: Path, victim: str) -> None:
    child, grandchild = tmp_path / "child", tmp_path / "grandchild"
    wanted = command(tmp_path, {"spawn": str(grandchild)}, {"touch": str(child)}, {"wait_for": "/nowhere"})
    host = await asyncio.create_subprocess_exec(sys.executable, "-c", HOST, str(tmp_path), *wanted.argv)
    try:
        await until(lambda: child.exists() and child.read_text().endswith("\n"), "the child runs")
        pids = [int(child.read_text()), int(grandchild.read_text())]
        assert all(is_alive(pid) for pid in pids)
        os.kill(host.pid if victim == "host" else parent_of(pids[0]), signal.SIGKILL)
        await until(lambda: not any(is_alive(pid) for pid in pids), "both are gone")
    finally:
        if host.returncode is None:
            host.kill()
        await host.wait()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
