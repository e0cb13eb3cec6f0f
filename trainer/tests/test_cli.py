"""The command line as the worker starts it: a child process, one JSON message per line on a descriptor of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mill_contracts.tasks import Limits, ProfileTask
from mill_contracts.wire import LogLine, Message, Progress, Refused, Stage, Succeeded, messages
from mill_trainer.reporting import PipeReport

MakeTask = Callable[..., ProfileTask]


def run(verb: str, task_json: str, folder: Path) -> tuple[int, list[Message], str]:
    task_file = folder / "task.json"
    task_file.write_text(task_json)
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "mill_trainer", verb, "--task", str(task_file), "--report-fd", str(writing)]
    child = subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = [messages.validate_json(line) for line in pipe]
    _, errors = child.communicate(timeout=60)
    return child.returncode, said, errors


def test_a_good_file_ends_with_succeeded_and_the_names_of_the_files(profile_task: MakeTask, tmp_path: Path) -> None:
    code, said, errors = run("profile", profile_task(b"a,b\n1,x\n2,y\n").model_dump_json(), tmp_path)

    assert (code, errors) == (0, "")
    assert said[-1] == Succeeded(files=("data.parquet", "preview.json", "report.json"))
    assert [message.stage for message in said if isinstance(message, Stage)] == ["reading", "converting", "describing"]
    fractions = [message.fraction for message in said if isinstance(message, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_bad_file_ends_with_refused_and_exit_0(profile_task: MakeTask, tmp_path: Path) -> None:
    code, said, _ = run("profile", profile_task(b"a,b\n1\n").model_dump_json(), tmp_path)

    outcome = said[-1]
    assert code == 0
    assert isinstance(outcome, Refused)
    assert outcome.problem.type.endswith("ragged-rows")
    assert outcome.problem.errors[0].line == 2


def test_a_fault_of_ours_is_a_traceback_and_no_outcome(profile_task: MakeTask, tmp_path: Path) -> None:
    task = profile_task(b"a,b\n1,x\n")
    task.raw_file.unlink()

    code, said, errors = run("profile", task.model_dump_json(), tmp_path)

    assert code == 1
    assert "FileNotFoundError" in errors
    assert not [message for message in said if isinstance(message, Succeeded | Refused)]


def test_too_little_memory_is_a_refusal_not_a_crash(profile_task: MakeTask, tmp_path: Path) -> None:
    wide = b",".join(b"c%d" % index for index in range(1_500)) + b"\n"
    content = wide + (b",".join(b"%d.5" % index for index in range(1_500)) + b"\n") * 1_000
    task = profile_task(content, limits=Limits(memory_bytes=2**26, threads=2))

    code, said, errors = run("profile", task.model_dump_json(), tmp_path)

    outcome = said[-1]
    assert code == 0, errors
    if isinstance(outcome, Refused):
        assert outcome.problem.type.endswith("out-of-memory")
    else:
        assert isinstance(outcome, Succeeded)


def test_progress_is_thinned_out_but_its_end_always_said() -> None:
    reading, writing = os.pipe()
    now = 0.0
    report = PipeReport(writing, clock=lambda: now)
    for step in range(1_001):
        report.progress(step / 1_000, step, 1_000, "rounds")
        now += 0.01
    report.log("x" * 10_000)
    os.close(writing)

    with os.fdopen(reading) as pipe:
        said = [messages.validate_python(json.loads(line)) for line in pipe]

    progress = [message for message in said if isinstance(message, Progress)]
    assert 35 <= len(progress) <= 45
    assert progress[-1].done == 1_000
    assert isinstance(said[-1], LogLine)
    assert len(said[-1].message) <= 2_000
