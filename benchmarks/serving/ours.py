"""ml-service as it is run: one worker, two workers, two replicas behind nginx. And the no-op on the same kind of server."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.common.published import Published, environment, publish
from benchmarks.serving.models import Model
from benchmarks.serving.servers import OUR_FORMS, OUR_HEADERS, Server, ask, ports, with_headers

ROOT: Final = Path(__file__).resolve().parents[2]
NOOP: Final = ROOT / "benchmarks" / "single_prediction" / "noop.py"
ONE, TWO, NGINX, NOTHING = "Modelmill", "Modelmill, two workers", "Modelmill, two replicas behind nginx", "no-op"


def prepare(model: Model, folder: Path) -> None:
    """The package in an object store, with keys and snapshot."""
    folder.mkdir(parents=True)
    publish(folder, [Published(model.served_name, model.model_id, model.version_id, model.package)])


def serve_command(port: int) -> list[str]:
    return [sys.executable, "-m", "mill_serving", "serve", "--port", str(port)]


def one(folder: Path) -> Server:
    (port,) = ports(1)
    return Server(ONE, "ours", port, [serve_command(port)], OUR_FORMS, [environment(folder)], folder, OUR_HEADERS)


def two_workers(folder: Path) -> Server:
    """Not held while it is idle: its supervisor would take going on for a signal to stop."""
    (port,) = ports(1)
    variables = {**environment(folder, "workers"), "MILL_SERVING__WORKERS": "2"}
    commands = [serve_command(port)]
    return Server(TWO, "reported", port, commands, OUR_FORMS, [variables], folder, OUR_HEADERS, holdable=False)


def behind_nginx(folder: Path) -> Server:
    first, second, front = ports(3)
    state = folder / "nginx"
    state.mkdir(exist_ok=True)
    proxy = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "API_SERVER": "127.0.0.1:9",
        "ML_SERVICE": f"127.0.0.1:{first} 127.0.0.1:{second}",
        "LISTEN": f"127.0.0.1:{front}",
        "NGINX_STATE": str(state),
    }
    return Server(
        NGINX,
        "reported",
        front,
        [serve_command(first), serve_command(second), ["sh", str(ROOT / "nginx" / "run.sh")]],
        OUR_FORMS,
        [environment(folder, "first"), environment(folder, "second"), proxy],
        folder,
        OUR_HEADERS,
    )


def nginx_is_there() -> bool:
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin") is not None


def noop(folder: Path, answer: Path) -> Server:
    """`answer` holds what ml-service answered to a row, once it was asked."""
    (port,) = ports(1)
    variables: Mapping[str, str] = environment(folder)
    return Server(
        NOTHING, "no-op", port, [[sys.executable, str(NOOP), str(port), str(answer)]], {}, [variables], folder
    )


def keep_answer(server: Server, model: Model, path: Path) -> None:
    """What `server` answers to a row, for the no-op to repeat."""
    request = server.forms["row"][0].request(model, model.rows[:1])
    path.write_bytes(ask(server.port, with_headers(request, server.headers), 30.0)[1])
