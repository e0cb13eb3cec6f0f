"""How each peer is started and in which form it is asked; a folder per peer holds its server and its pinned requirements."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.serving import forms
from benchmarks.serving.environments import python_of
from benchmarks.serving.forms import Form
from benchmarks.serving.models import Model
from benchmarks.serving.servers import Asking, Server, base_environment, ports

HERE: Final = Path(__file__).parent
Command = Callable[[Path, list[int], Path], Sequence[str]]


@dataclass(frozen=True)
class Peer:
    """`command` gets the environment's Python, three free ports and a folder to write into.

    `holdable`: goes on after it was stopped for a while. Triton declares its Python process dead and never answers again; Ray
    answers, at a fifth of its speed.
    """

    name: str
    folder: str
    command: Command
    row: Form
    json: Form
    binary: Form | None = None
    variables: Mapping[str, str] | None = None
    debian: bool = False
    holdable: bool = True

    @property
    def requirements(self) -> Path:
        return HERE / self.folder / "requirements.txt"


def _script(python: Path, ports: list[int], _: Path) -> list[str]:
    return [str(python), "server.py", *map(str, ports)]


def _bentoml(python: Path, ports: list[int], _: Path) -> list[str]:
    place = ["--host", "127.0.0.1", "--port", str(ports[0])]
    return [str(python), "-m", "bentoml", "serve", "server:Bench", *place]


def _mlflow(python: Path, ports: list[int], work: Path) -> list[str]:
    serve = [
        str(python),
        "-m",
        "mlflow",
        "models",
        "serve",
        "--model-uri",
        str(work / "model"),
        "--env-manager",
        "local",
    ]
    line = f'"$0" server.py "{work / "model"}" && exec "$@"'
    return ["sh", "-c", line, str(python), *serve, "--host", "127.0.0.1", "--port", str(ports[0]), "--workers", "1"]


_QUIET_MLFLOW: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "UVICORN_ACCESS_LOG": "false"}
_QUIET_RAY: Final = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}

PEERS: Final = (
    Peer("PyTriton", "pytriton", _script, forms.V2_JSON, forms.V2_JSON, forms.V2_BINARY, debian=True, holdable=False),
    Peer("KServe", "kserve", _script, forms.INSTANCES, forms.INSTANCES, forms.V2_BINARY),
    Peer("MLServer", "mlserver", _script, forms.V2_JSON, forms.V2_JSON),
    Peer("LitServe", "litserve", _script, forms.ROWS_JSON, forms.ROWS_JSON),
    Peer("BentoML", "bentoml", _bentoml, forms.ROWS_JSON, forms.ROWS_JSON, variables={"BENTOML_DO_NOT_TRACK": "True"}),
    Peer("MLflow", "mlflow", _mlflow, forms.INVOCATIONS, forms.INVOCATIONS, variables=_QUIET_MLFLOW),
    Peer("Ray Serve", "ray", _script, forms.ROWS_JSON, forms.ROWS_JSON, variables=_QUIET_RAY, holdable=False),
    Peer("FastAPI", "fastapi", _script, forms.ROWS_JSON, forms.ROWS_JSON),
)


def server_of(peer: Peer, model: Model, cache: Path, work: Path) -> Server:
    """Installs the peer where it is not there yet. Raises `InstallError`."""
    python = python_of(peer.folder, peer.requirements, cache, debian=peer.debian)
    work.mkdir(parents=True, exist_ok=True)
    free = ports(3)
    variables = {
        **base_environment(),
        **(peer.variables or {}),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(HERE),
        "MODEL_FOLDER": str(model.folder),
        "MODEL_NAME": model.name,
        "TMPDIR": str(work),
        "PYTRITON_HOME": str(work),
    }
    asked: dict[Asking, Sequence[Form]] = {"row": (peer.row,), "json": (peer.json,)}
    if peer.binary is not None:
        asked["binary"] = (peer.binary,)
    command = peer.command(python, free, work)
    return Server(peer.name, "peer", free[0], [command], asked, [variables], HERE / peer.folder, holdable=peer.holdable)


def version(peer: Peer) -> str:
    """As pinned."""
    names = {"pytriton": "nvidia-pytriton"}
    wanted = names.get(peer.folder, peer.folder)
    for line in peer.requirements.read_text().splitlines():
        name, _, number = line.partition("==")
        if name.partition("[")[0] == wanted:
            return number
    return sys.version.split()[0]
