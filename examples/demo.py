"""The whole journey on real data, as a user would go it: `make demo` runs this file.

It starts the embedded stack, registers, uploads the census table, trains four models without waiting for the profile, prints a
leaderboard, deploys the best, predicts five rows that no model has seen, scores a whole file as a batch job, and stays up until
Ctrl-C (`--exit`, or `EXIT=1`, stops by itself). Every figure goes to `.modelmill/demo.json`; the exit code tells success.
A second run finds its data and models again; `--fresh` uploads and trains next versions.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from demo_journey import Demo
from modelmill import ModelmillError

COMMAND = [sys.executable, "-m", "mill_local"]


def main() -> int:
    options = arguments()
    home: Path = options.home.absolute()
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    demo = Demo(home, options.fresh)
    started_here = False
    try:
        stack, started_here = start_stack(home, demo)
        demo.run(stack)
        demo.figures.success = True
        if not options.exit:
            demo.save()
            print(f"\nFigures are in {home / 'demo.json'}. Ctrl-C stops everything and keeps the data.", flush=True)
            stopping.wait()
    except KeyboardInterrupt:
        demo.figures.error = None if demo.figures.success else "interrupted"
    except (ModelmillError, OSError, subprocess.CalledProcessError) as error:
        demo.figures.error = f"{type(error).__name__}: {error}"
        print(f"\nThe demo failed: {error}", file=sys.stderr)
    finally:
        demo.save()
        if started_here:
            subprocess.run([*COMMAND, "down", "--home", str(home)], check=False, start_new_session=True)
    return 0 if demo.figures.success else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Modelmill's main job on real data")
    parser.add_argument("--exit", action="store_true", default=os.environ.get("EXIT", "") not in {"", "0"})
    parser.add_argument("--fresh", action="store_true", default=os.environ.get("FRESH", "") not in {"", "0"})
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("MODELMILL_HOME", ".modelmill")))
    return parser.parse_args()


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def start_stack(home: Path, demo: Demo) -> tuple[dict[str, Any], bool]:
    """The running stack's addresses, and whether it was started here: one that runs already is used and left running."""
    begun = time.perf_counter()
    status = subprocess.run(
        [*COMMAND, "status", "--home", str(home), "--json"], capture_output=True, text=True, check=False
    )
    known: dict[str, Any] = json.loads(status.stdout) if status.returncode == 0 else {}
    if known.get("state") == "ready":
        demo.say(f"using the stack that runs already in {home}")
        return known, False
    demo.say("starting PostgreSQL, Valkey, api-server, workers and ml-service …")
    up = subprocess.run(
        [*COMMAND, "up", "--home", str(home), "--detach", "--json"], stdout=subprocess.PIPE, text=True, check=True
    )
    demo.figures.stack_start_seconds = time.perf_counter() - begun
    demo.say(f"the stack is up after {demo.figures.stack_start_seconds:.1f} s")
    return json.loads(up.stdout), True


if __name__ == "__main__":
    sys.exit(main())
