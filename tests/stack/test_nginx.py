"""The edge as it is shipped: `nginx/run.sh` with the real nginx, as an ordinary user, before real processes."""

import http.client
import json
import os
import re
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mill_kit.http.security import HEADERS

from tests.stack.edges import PATIENCE, Edge, Service, edge, free_port, service, until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("edge")


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[Service]:
    with service("api", folder) as one:
        yield one


@pytest.fixture(scope="module")
def replicas(folder: Path) -> Iterator[tuple[Service, Service]]:
    with service("ml-1", folder) as one, service("ml-2", folder) as two:
        yield one, two


@pytest.fixture(scope="module")
def front(nginx: str, root: Path, api: Service, replicas: tuple[Service, Service]) -> Iterator[Edge]:
    with edge(nginx, root / "nginx", api.place, " ".join(one.place for one in replicas)) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "who", "seen"),
    [
        ("/api/v1/projects", "api", "/api/v1/projects"),
        ("/api/v1/projects/?limit=3", "api", "/api/v1/projects/?limit=3"),
        ("/docs", "api", "/docs"),
        ("/docs/assets/swagger-ui.css", "api", "/docs/assets/swagger-ui.css"),
        ("/openapi.json", "api", "/openapi.json"),
        ("/health", "api", "/health"),
        ("/health/ready", "api", "/health/ready"),
        ("/models", "ml", "/models"),
        ("/models/", "ml", "/models/"),
        ("/models/iris/schema", "ml", "/models/iris/schema"),
        ("/stats", "ml", "/stats"),
        ("/pool/stats", "ml", "/pool/stats"),
        ("/logs", "ml", "/logs"),
        ("/logs/stats", "ml", "/logs/stats"),
        ("/performance/0123456789abcdef", "ml", "/performance/0123456789abcdef"),
        ("/invocations", "ml", "/invocations"),
        ("/ping", "ml", "/ping"),
        ("/models/iris/invocations", "ml", "/models/iris/invocations"),
        ("/predict", "ml", "/predict"),
        ("/predict_proba/iris", "ml", "/predict_proba/iris"),
        ("/v2", "ml", "/v2"),
        ("/predict/team%2Firis", "ml", "/predict/team%2Firis"),
        ("/v2/health/ready", "ml", "/v2/health/ready"),
        ("/ml/health", "ml", "/health"),
        ("/ml/health/detailed", "ml", "/health/detailed"),
        ("/ml/openapi.json", "ml", "/openapi.json"),
    ],
)
def test_each_path_goes_to_its_service_as_it_came(front: Edge, path: str, who: str, seen: str) -> None:
    answer = front.ask("GET", path)
    assert answer.status_code == 200
    assert answer.json()["name"].startswith(who)
    assert answer.json()["path"] == seen


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/metrics/",
        "/ml/metrics",
        "//metrics",
        "/health/../metrics",
        "/api/..%2fmetrics",
        "/admin",
        "/.env",
        "/predicted",
        "/v2x",
        "/_problem/414",
    ],
)
def test_what_is_not_published_is_not_found(front: Edge, path: str) -> None:
    line = http.client.HTTPConnection("127.0.0.1", front.port, timeout=PATIENCE)
    line.request("GET", path)
    answer = line.getresponse()
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.read())["status"] == 404
    line.close()


def test_replicas_share_the_predictions(front: Edge) -> None:
    with httpx.Client(base_url=front.url, trust_env=False) as client:
        served = Counter(client.post("/predict/m", json={}).json()["name"] for _ in range(60))
    assert set(served) == {"ml-1", "ml-2"}
    assert min(served.values()) >= 10


def test_a_killed_replica_costs_no_answer(nginx: str, root: Path, api: Service, folder: Path) -> None:
    with (
        service("stays", folder) as stays,
        service("dies", folder) as dies,
        edge(nginx, root / "nginx", api.place, f"{stays.place} {dies.place}") as front,
        httpx.Client(base_url=front.url, timeout=PATIENCE, trust_env=False) as client,
    ):
        assert {client.post("/predict/m", json={}).json()["name"] for _ in range(20)} == {"stays", "dies"}
        os.kill(dies.process.pid, signal.SIGKILL)
        dies.process.wait(10)
        answers = [client.post("/predict/m", json={}) for _ in range(60)]
    assert [answer.status_code for answer in answers] == [200] * 60
    assert {answer.json()["name"] for answer in answers} == {"stays"}


def test_the_list_of_replicas_follows_the_names(nginx: str, root: Path, folder: Path, api: Service) -> None:
    """With names that resolve otherwise: here the list of servers itself is what another answer of DNS would make of it."""
    with (
        service("ml-now", folder) as now,
        edge(nginx, root / "nginx", api.place, now.place) as front,
        httpx.Client(base_url=front.url, timeout=PATIENCE, trust_env=False) as client,
    ):
        listed = front.state / "upstreams.conf"
        truth = listed.read_text()
        listed.write_text(truth.replace(now.place, f"127.0.0.1:{free_port()}"))
        os.kill(front.process.pid, signal.SIGHUP)
        until(lambda: listed.read_text() == truth, "the list is written anew")
        until(lambda: client.post("/predict/m", json={}).status_code == 200, "and used")


def test_a_name_that_does_not_resolve_yet_is_a_502_and_no_reason_not_to_start(
    nginx: str, root: Path, api: Service
) -> None:
    with edge(nginx, root / "nginx", api.place, "no-such-host.invalid:8001") as front:
        assert front.ask("GET", "/health").status_code == 200
        answer = front.ask("POST", "/predict/m", json={})
        assert answer.status_code == 502
        assert answer.json()["type"] == "urn:modelmill:problem:bad-gateway"
        assert answer.headers["Retry-After"] == "2"
        assert answer.headers["X-Request-ID"] == answer.json()["request_id"]


def test_an_upload_reaches_the_api_server_while_it_is_being_sent(front: Edge, api: Service) -> None:
    line = http.client.HTTPConnection("127.0.0.1", front.port, timeout=PATIENCE)
    line.putrequest("POST", "/api/v1/datasets")
    line.putheader("Content-Length", str(3 * 2**20))
    line.endheaders(b"x" * 2**20)
    until(lambda: bool(api.noted()), "the first part has arrived, two thirds are still to be sent")
    line.send(b"x" * 2 * 2**20)
    answer = line.getresponse()
    assert (answer.status, json.loads(answer.read())) == (201, {"bytes": 3 * 2**20})
    line.close()


def test_an_upload_of_unknown_length_is_streamed_too(front: Edge, api: Service) -> None:
    before = len(api.noted())

    def parts() -> Iterator[bytes]:
        yield b"a" * 1000
        until(lambda: len(api.noted()) > before, "the first part has arrived")
        yield b"b" * 1000

    answer = front.ask("POST", "/api/v1/models/m/batch-predictions/upload", content=parts())
    assert (answer.status_code, answer.json()) == (201, {"bytes": 2000})


def test_live_events_arrive_one_by_one(front: Edge) -> None:
    with (
        httpx.Client(base_url=front.url, timeout=PATIENCE, trust_env=False) as client,
        client.stream("GET", "/api/v1/jobs/j/events") as answer,
    ):
        assert next(answer.iter_lines()) == "data: one"


def problem(answer: httpx.Response, status: int, slug: str) -> None:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["type"]) == (status, f"urn:modelmill:problem:{slug}")
    assert document["request_id"] == answer.headers["X-Request-ID"]


def test_bodies_are_limited_by_what_the_path_takes(front: Edge) -> None:
    problem(front.ask("POST", "/api/v1/projects", content=b"x" * (2**20 + 1)), 413, "too-large")
    problem(front.ask("POST", "/predict/m", content=b"x" * (16 * 2**20 + 1)), 413, "too-large")
    assert front.ask("POST", "/predict/m", content=b"x" * 2**21).json()["body"] == 2**21


def test_headers_are_limited(front: Edge) -> None:
    problem(front.ask("GET", "/api/v1/projects", headers={"X-Big": "x" * 20_000}), 431, "headers-too-large")
    problem(front.ask("GET", "/api/v1/projects?q=" + "x" * 20_000), 414, "uri-too-long")


def test_what_is_not_http_is_refused_in_the_same_words(front: Edge) -> None:
    with socket.create_connection(("127.0.0.1", front.port), timeout=PATIENCE) as line:
        line.sendall(b"GET /\x01 nonsense\r\n\r\n")
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"urn:modelmill:problem:malformed-request" in answer


def test_guessing_passwords_is_slowed_down(front: Edge) -> None:
    with httpx.Client(base_url=front.url, trust_env=False) as client:
        answers = [client.post("/api/v1/auth/token", content=b"") for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    problem(refused[0], 429, "too-many-requests")
    assert refused[0].headers["Retry-After"] == "2"
    assert front.ask("GET", "/api/v1/projects").status_code == 200


def test_a_problem_of_a_service_passes_untouched(front: Edge) -> None:
    answer = front.ask("POST", "/predict/refuse", json={})
    assert (answer.status_code, answer.json()["detail"]) == (422, "said the service")


def test_one_id_follows_a_request(front: Edge) -> None:
    given = "order-4711.a_b"
    assert front.ask("GET", "/stats", headers={"X-Request-ID": given}).json()["headers"]["X-Request-ID"] == given
    made = front.ask("GET", "/stats", headers={"X-Request-ID": 'bad"id with spaces'}).json()["headers"]["X-Request-ID"]
    assert len(made) == 32


def test_what_a_client_says_of_itself_is_not_believed(front: Edge) -> None:
    told = {"X-Forwarded-For": "10.0.0.1", "X-Real-IP": "10.0.0.1", "X-Forwarded-Host": "evil", "Proxy": "evil"}
    told |= {"X-Original-URL": "/metrics", "Forwarded": "for=10.0.0.1", "X-Forwarded-Proto": "https"}
    seen = front.ask("GET", "/api/v1/projects", headers={**told, "Authorization": "Bearer x"}).json()["headers"]
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "http"
    assert not {"X-Real-IP", "X-Forwarded-Host", "Proxy", "X-Original-URL", "Forwarded"} & set(seen)
    assert seen["Authorization"] == "Bearer x"


@pytest.mark.parametrize("path", ["/api/v1/projects", "/predict/m", "/nothing-here"])
def test_every_answer_carries_the_security_headers_and_tells_no_versions(front: Edge, path: str) -> None:
    headers = front.ask("POST", path, json={}).headers
    assert {name: headers.get_list(name) for name in HEADERS} == {name: [value] for name, value in HEADERS.items()}
    assert "Strict-Transport-Security" not in headers
    assert headers["Server"] == "nginx"
    assert "X-Powered-By" not in headers


def test_a_services_own_security_header_stands_alone(front: Edge) -> None:
    headers = front.ask("POST", "/predict/secured", json={}).headers
    assert headers.get_list("X-Frame-Options") == ["DENY"]
    assert headers.get_list("Content-Security-Policy") == ["default-src 'self'"]
    assert headers.get_list("X-Content-Type-Options") == ["nosniff"]


def test_a_trace_begins_at_the_edge_or_goes_through_it(front: Edge) -> None:
    given = f"00-{'ab' * 16}-{'cd' * 8}-01"
    assert front.ask("GET", "/stats", headers={"traceparent": given}).json()["headers"]["traceparent"] == given
    for wrong in ("", "00-x-y-01", given + "-more"):
        seen = front.ask("GET", "/stats", headers={"traceparent": wrong}).json()["headers"]["traceparent"]
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", seen), seen
    lines = [json.loads(line) for line in (front.state.parent / "log").read_text().splitlines() if line[:1] == "{"]
    assert "ab" * 16 in {line["trace_id"] for line in lines}


def test_predictions_are_never_repeated_behind_the_clients_back(root: Path) -> None:
    assert not [path for path in (root / "nginx").glob("*.conf") if "non_idempotent" in path.read_text()]
