"""500 concurrent first calls of a large package: how often is it loaded, and how long until the last one is answered?

Measured beside a bare process that reads and opens the same file; each round has a fresh service with an empty folder.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# scikit-learn is partly typed.

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import numpy as np
from mill_contracts.ids import new_id
from mill_contracts.recipe import Framework, Task
from mill_contracts.tables import ColumnKind
from mill_pack import Encoder, EncoderDocument, FeatureSpec, ManifestDraft, build_engine, golden_rows, write_package
from mill_pack.encoding.document import NumericOutput
from sklearn.ensemble import ExtraTreesClassifier

from benchmarks.common.published import SECRET, Published, environment, publish
from benchmarks.serving.ours import serve_command
from benchmarks.serving.servers import Running, Server, ports
from benchmarks.serving.verdict import COLD_CALLS

NAME: Final = "bench-large"
LEAST_BYTES: Final = 100_000_000
_TABLE: Final = (40_000, 30)
_BARE: Final = """
import json, sys, time
from pathlib import Path
from mill_pack import open_package
small, large = map(Path, sys.argv[1:3])
open_package(small)
begun = time.perf_counter()
size = len(large.read_bytes())
read = time.perf_counter()
open_package(large)
print(json.dumps({"read_s": read - begun, "parse_s": time.perf_counter() - read, "package_mb": size / 1e6}))
"""


def large_package(cache: Path, say: Callable[[str], None]) -> Published:
    """Trees on noise: they grow until every leaf holds one row."""
    folder = cache / "large"
    if not (folder / "model.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        trees = 32
        while (size := _write(folder, trees)) < LEAST_BYTES:
            say(f"a forest of {trees} trees makes {size / 1e6:.0f} MB")
            trees = int(trees * LEAST_BYTES / size * 1.05) + 1
    ids: dict[str, str] = json.loads((folder / "model.json").read_text())
    return Published(NAME, ids["model_id"], ids["version_id"], folder / "model.mill")


def _write(folder: Path, trees: int) -> int:
    rng = np.random.default_rng(0)
    table = rng.normal(size=_TABLE)
    forest: Any = ExtraTreesClassifier(n_estimators=trees, n_jobs=2, random_state=0)
    forest.fit(table, rng.integers(0, 2, len(table)))
    names = tuple(f"feature_{number}" for number in range(_TABLE[1]))
    document = EncoderDocument(
        features=tuple(FeatureSpec(name=name, kind=ColumnKind.NUMBER) for name in names),
        outputs=tuple(NumericOutput(source=name) for name in names),
    )
    encoder = Encoder(document)
    payload = build_engine(Framework.SKLEARN.value, "extra_trees", forest, encoder.width, ("no", "yes"))
    ids = {"model_id": str(new_id()), "version_id": str(new_id())}
    draft = ManifestDraft(
        model_id=ids["model_id"],
        model_version_id=ids["version_id"],
        name=NAME,
        version=1,
        task=Task.CLASSIFICATION,
        target="target",
        classes=("no", "yes"),
    )
    golden = golden_rows(encoder, {name: table[:, at] for at, name in enumerate(names)})
    package = folder / "model.mill"
    write_package(package, draft=draft, encoder=encoder, payload=payload, golden_rows=golden)
    size = package.stat().st_size
    if size >= LEAST_BYTES:
        (folder / "model.json").write_text(json.dumps(ids))
    return size


def measure(
    package: Published, small: Path, rounds: Iterable[int], work: Path, say: Callable[[str], None]
) -> Iterator[dict[str, float]]:
    """The rounds of these numbers, each as it is finished."""
    for number in rounds:
        bare = subprocess.run(
            [sys.executable, "-c", _BARE, str(small), str(package.package)], capture_output=True, text=True, check=True
        )
        folder = work / f"cold-{number}"
        folder.mkdir(parents=True)
        publish(folder, [package])
        one = {"round": number, "calls": COLD_CALLS, **json.loads(bare.stdout), **_first_calls(folder)}
        say(
            f"first calls, round {number}: {one['seconds']:.2f} s for {COLD_CALLS}, {one['loads']:.0f} load, {one['errors']:.0f} "
            f"errors; read {one['read_s']:.2f} s + parse {one['parse_s']:.2f} s"
        )
        yield one


def _first_calls(folder: Path) -> dict[str, float]:
    (port,) = ports(1)
    server = Server("first calls", "ours", port, [serve_command(port)], {}, [environment(folder)], folder)
    running = Running(server, folder / "service.log")
    try:
        _await_ready(port)
        before = _counted(port, "model_loads_total")
        seconds, errors = asyncio.run(_ask_all(port))
        return {"seconds": seconds, "errors": errors, "loads": _counted(port, "model_loads_total") - before}
    finally:
        running.close()


async def _ask_all(port: int) -> tuple[float, int]:
    """All connections are open before the first request is sent."""
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(COLD_CALLS)]
    body = json.dumps({"input_data": {f"feature_{number}": 0.5 for number in range(_TABLE[1])}}).encode()
    head = f"POST /predict/{NAME} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {SECRET}\r\nconnection: close\r\n"
    request = f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer.startswith(b"HTTP/1.1 200 ")

    begun = time.perf_counter()
    good: Sequence[bool] = await asyncio.wait_for(asyncio.gather(*(ask(*pair) for pair in streams)), 120)
    return time.perf_counter() - begun, COLD_CALLS - sum(good)


def _await_ready(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("ml-service does not become ready")


def _counted(port: int, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))
