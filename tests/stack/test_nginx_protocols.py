"""What nginx itself refuses comes in the shape of the protocol that was spoken: `{"error": …}` under /v2, a problem elsewhere."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.stack.edges import Edge, Service, edge, free_port, service

STRICTER = """
        location ~ ^/v2/models/hidden { include v2_errors.conf; return 404; }
        location ~ ^/v2/models/limited { include v2_errors.conf; limit_req zone=sign_in; proxy_pass http://ml_service; }
        location ~ ^/predict/limited { limit_req zone=sign_in; proxy_pass http://ml_service; }
        location ~ ^/v2/models/get_only { include v2_errors.conf; if ($request_method != GET) { return 405; } return 204; }
        location ~ ^/(?:v2/models|predict)/off { include v2_errors.conf; return 503; }
"""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service("ml-1", tmp_path_factory.mktemp("upstream")) as one:
        yield one


@pytest.fixture(scope="module")
def front(
    nginx: str, root: Path, upstream: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Edge, Edge]]:
    """The shipped edge, impatient and with a few more limits; and one whose services are gone."""
    config = tmp_path_factory.mktemp("edge") / "nginx"
    shutil.copytree(root / "nginx", config)
    main, proxy = config / "nginx.conf", config / "proxy.conf"
    main.write_text(main.read_text().replace("        location = / {", f"{STRICTER}        location = / {{", 1))
    proxy.write_text(proxy.read_text().replace("proxy_read_timeout 60s", "proxy_read_timeout 1s"))
    nobody = f"127.0.0.1:{free_port()}"
    with edge(nginx, config, nobody, upstream.place) as serving, edge(nginx, config, nobody, nobody) as alone:
        yield serving, alone


def spoken(answer: httpx.Response, path: str) -> None:
    """In the shape of the protocol of `path`, with the request's id."""
    assert len(answer.headers["X-Request-ID"]) >= 8
    if path == "/v2" or path.startswith("/v2/"):
        assert answer.headers["Content-Type"] == "application/json"
        assert list(answer.json()) == ["error"]
        assert len(answer.json()["error"]) > 10
    else:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/models/m/infer", 413),
        ("POST", "/v2", 413),
        ("POST", "/predict/m", 413),
        ("POST", "/models/m/invocations", 413),
        ("GET", "/v2/models/hidden", 404),
        ("GET", "/v2x", 404),
        ("POST", "/v2/models/get_only", 405),
        ("GET", "/v2/models/m/slow", 504),
        ("GET", "/predict/slow", 504),
        ("GET", "/v2/models/off", 503),
    ],
)
def test_a_refusal_of_the_edge_speaks_the_protocol(
    front: tuple[Edge, Edge], method: str, path: str, status: int
) -> None:
    body = b"x" * (16 * 2**20 + 1) if status == 413 else b""
    answer = front[0].ask(method, path, content=body)
    assert answer.status_code == status, answer.text
    spoken(answer, path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/v2/models/limited", "/predict/limited"])
def test_so_does_a_limit(front: tuple[Edge, Edge], path: str) -> None:
    with httpx.Client(base_url=front[0].url, trust_env=False) as client:
        refused = [answer for answer in (client.get(path) for _ in range(40)) if answer.status_code == 429]
    assert refused
    spoken(refused[0], path)
    assert refused[0].headers["Retry-After"] == "2"


@pytest.mark.parametrize("path", ["/v2/health/ready", "/v2", "/predict/m", "/api/v1/projects", "/ping"])
def test_so_does_a_service_that_is_away(front: tuple[Edge, Edge], path: str) -> None:
    answer = front[1].ask("GET", path)
    assert answer.status_code == 502
    spoken(answer, path)
    assert answer.headers["Retry-After"] == "2"


def test_what_a_service_refuses_passes_as_it_is(front: tuple[Edge, Edge]) -> None:
    answer = front[0].ask("POST", "/v2/models/refused/infer", json={})
    assert (answer.status_code, answer.json()) == (422, {"error": "said the service"})
