"""Records where ml-service spends its time at 64 connections: `run.py --flame` (py-spy in an environment of its own)."""

import re
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.common import results
from benchmarks.serving import load, models, ours
from benchmarks.serving.environments import python_of
from benchmarks.serving.servers import Running, with_headers

Say = Callable[[str], None]
SECONDS: Final = 15
SAMPLES: Final = 250
MODEL: Final = "A"
CONNECTIONS: Final = 64
REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")


def record(cache: Path, say: Say) -> int:
    """Writes `benchmarks/results/serving-flame.svg`: Python and C frames of the process, single rows, keys and metrics on."""
    spy = python_of("flame", REQUIREMENTS, cache).with_name("py-spy")
    model = models.build(MODEL, cache / "models")
    picture = results.FOLDER / "serving-flame.svg"
    with tempfile.TemporaryDirectory(prefix="modelmill-serving-") as name:
        folder = Path(name)
        ours.prepare(model, folder / "published")
        server = ours.one(folder / "published")
        running = Running(server, folder / "service.log")
        try:
            running.await_right_answers(model)
            form = server.forms["row"][0]
            requests = [with_headers(form.request(model, [row]), server.headers) for row in model.rows[:64]]
            script = load.write_script(folder / "requests", requests)
            driver = threading.Thread(target=load.drive, args=(server.port, script, CONNECTIONS, SECONDS + 4))
            driver.start()
            try:
                _spy(spy, running.processes[0].pid, picture)
            finally:
                driver.join()
        finally:
            running.close()
    text = picture.read_text(encoding="utf-8")
    words = f"ml-service, one worker, single rows of model {MODEL} at {CONNECTIONS} connections"
    picture.write_text(re.sub(r'(<text id="title"[^>]*>)[^<]*', rf"\g<1>{words}", text), encoding="utf-8")
    say(f"{picture} ({picture.stat().st_size / 1024:.0f} KiB)")
    return 0


def _spy(spy: Path, pid: int, picture: Path) -> None:
    """`--native` shows the C frames: HTTP parser, socket writes, forest. `--gil` leaves out threads that wait."""
    options = ["--native", "--gil", "--rate", str(SAMPLES), "--duration", str(SECONDS), "--format", "flamegraph"]
    done = subprocess.run(
        [str(spy), "record", *options, "--output", str(picture), "--pid", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"py-spy could not record (it needs the right to trace processes): {done.stderr[-500:]}")
