"""Drives a server with wrk: a closed loop of N connections, each sends its next request when it is answered.

wrk is C on one thread and outruns everything measured here; its script walks through the given requests in turn.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.forms import Request

_SCRIPT = """
local folder, count, path = {folder}, {count}, {path}
local headers = {{{headers}}}
local bodies, requests, at = {{}}, {{}}, 0
for number = 1, count do
  local file = assert(io.open(folder .. "/" .. number, "rb"))
  bodies[number] = file:read("*a")
  file:close()
end
function init(args)
  for number = 1, count do
    requests[number] = wrk.format("POST", path, headers, bodies[number])
  end
end
function request()
  at = at % count + 1
  return requests[at]
end
function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\\nRESULT {{"requests": %d, "microseconds": %d, "p50_us": %d, "p99_us": %d, "status": %d, "socket": %d, "timeout": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """`status` counts answers of 400 and above, `broken` connections that failed or timed out."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    status: int
    broken: int

    @property
    def errors(self) -> int:
        return self.status + self.broken

    @property
    def rps(self) -> float:
        """Good answers a second."""
        return max(0, self.requests - self.status) / self.seconds


class LoadError(Exception):
    """wrk gave up; in its words."""


def wrk() -> str:
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit("make bench-serving drives the servers with wrk: install it (Debian: apt-get install wrk)")
    return found


def write_script(folder: Path, requests: Sequence[Request]) -> Path:
    """The requests share path and headers."""
    folder.mkdir(parents=True)
    for number, request in enumerate(requests, 1):
        (folder / str(number)).write_bytes(request.body)
    first = requests[0]
    headers = ", ".join(f"[{_lua(name)}] = {_lua(value)}" for name, value in first.headers.items())
    script = folder / "load.lua"
    script.write_text(
        _SCRIPT.format(folder=_lua(str(folder)), count=len(requests), path=_lua(first.path), headers=headers)
    )
    return script


def _lua(text: str) -> str:
    return json.dumps(text)


def drive(port: int, script: Path, connections: int, seconds: int) -> Load:
    place = f"http://127.0.0.1:{port}/"
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(script)]
    done = subprocess.run([wrk(), *options, place], capture_output=True, text=True, check=False, timeout=seconds + 120)
    if done.returncode:
        raise LoadError(" ".join((done.stdout + done.stderr).split())[-300:])
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    found: Mapping[str, int] = json.loads(line.removeprefix("RESULT "))
    return Load(
        requests=found["requests"],
        seconds=found["microseconds"] / 1e6,
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        status=found["status"],
        broken=found["socket"] + found["timeout"],
    )
