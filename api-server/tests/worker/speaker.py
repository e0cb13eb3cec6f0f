"""A stand-in for the trainer: speaks the wire protocol as its task document says. Started as a child process by tests.

The task is `{"steps": [...]}`, done in order: {"say": message}, {"touch": file}, {"wait_for": file}, {"spawn": pid file},
{"print": text}, {"signal": number}, {"exit": status}, {"hold": bytes}, {"deaf": true} (ignore SIGTERM), {"out": name}.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb")
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    options = parser.parse_args()
    task = json.loads(options.task.read_text())
    kept: list[bytearray] = []
    with os.fdopen(options.report_fd, "w", buffering=1) as report:
        for step in task["steps"]:
            for verb, value in step.items():
                act(verb, value, Path(task["out_dir"]), report, kept)


def act(verb: str, value: Any, out: Path, report: Any, kept: list[bytearray]) -> None:
    if verb == "say":
        line = value if isinstance(value, str) else json.dumps(value).replace("<NUL>", "\\u0000")
        report.write(line + "\n")
    elif verb == "print":
        sys.stdout.write(f"{value}\n")
        sys.stdout.flush()
    elif verb == "touch":
        with Path(value).open("a") as file:
            file.write(f"{os.getpid()}\n")
    elif verb == "out":
        (out / value).write_text("made by the child")
    elif verb == "wait_for":
        while not Path(value).exists():
            time.sleep(0.02)
    elif verb == "spawn":
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(value).write_text(str(grandchild.pid))
    elif verb == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif verb == "hold":
        kept.append(bytearray(os.urandom(1) * value))
        time.sleep(60)
    elif verb == "signal":
        os.kill(os.getpid(), value)
        time.sleep(60)
    elif verb == "exit":
        sys.exit(value)


if __name__ == "__main__":
    main()
