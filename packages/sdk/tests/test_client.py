"""What the client promises when servers and networks misbehave."""

import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from modelmill import (
    AlreadyRegistered,
    ApiError,
    Client,
    ConnectionFailed,
    InvalidRequest,
    JobEvent,
    JobFailed,
    JobStillRunning,
    MemoryKeeper,
    NotFound,
    RateLimited,
    Retries,
    ServerError,
    TimedOut,
    TokenRefused,
    Tokens,
    Unavailable,
    UnexpectedAnswer,
    WrongCredentials,
)

QUICK = Retries(attempts=3, wait=0.001)
FAR = 4_000_000_000.0
USER = {"id": "u", "email": "a@b", "username": "ada"}


@pytest.fixture
def mill(server: Any) -> Iterator[Client]:
    with Client(server.url, api_key="mm_key", retries=QUICK, timeout=5.0) as client:
        yield client


def answer(server: Any, status: int = 200, body: Any = None, **options: Any) -> Any:
    """An `Answer` of this test's server."""
    return server.reply(status, body, **options)


def job(state: str = "running", **fields: Any) -> dict[str, Any]:
    return {"id": "j", "kind": "train", "state": state, **fields}


def problem(slug: str, status: int, **fields: Any) -> dict[str, Any]:
    return {"type": f"urn:modelmill:problem:{slug}", "title": slug, "status": status, "detail": "why", **fields}


def test_a_read_is_tried_again_until_it_succeeds(server: Any, mill: Client) -> None:
    server.answers(answer(server, hang_up=True), answer(server, 503, {}), answer(server, body=USER))
    assert mill.auth.me().username == "ada"
    assert len(server.seen) == 3


def test_a_write_is_sent_once_whatever_happens(server: Any, mill: Client) -> None:
    for failing in (answer(server, 503, {}), answer(server, hang_up=True)):
        server.seen.clear()
        server.answers(failing)
        with pytest.raises((Unavailable, ConnectionFailed)):
            mill.models.undeploy("m")
        assert len(server.seen) == 1


def test_what_creates_is_sent_again_with_the_same_key_until_it_is_answered(server: Any, mill: Client) -> None:
    in_flight = answer(server, 409, problem("request-in-flight", 409), headers={"Retry-After": "0"})
    for failing in (answer(server, 503, {}), answer(server, hang_up=True), in_flight):
        server.seen.clear()
        server.answers(failing, answer(server, 201, {"id": "p", "name": "P"}))
        assert mill.projects.create("P").id == "p"
        keys = {request.headers["idempotency-key"] for request in server.seen}
        assert (len(server.seen), len(keys)) == (2, 1)
    mill.projects.create("P")
    assert server.seen[-1].headers["idempotency-key"] not in keys


def test_any_call_that_comes_too_often_comes_again_when_there_is_room(server: Any, mill: Client) -> None:
    refused = answer(server, 429, problem("too-many-requests", 429), headers={"Retry-After": "0"})
    server.answers(refused, refused, answer(server, 200, {}))
    mill.models.undeploy("m")
    assert len(server.seen) == 3
    server.answers(answer(server, 429, problem("too-many-requests", 429), headers={"Retry-After": "3600"}))
    with pytest.raises(RateLimited):
        mill.auth.me()
    assert len(server.seen) == 4, "nobody waits for an hour"


def test_the_wait_that_the_server_names_is_kept_with_some_jitter() -> None:
    waits = {QUICK.seconds(0, httpx.Response(429, headers={"Retry-After": "8"})) for _ in range(20)}
    assert min(waits) >= 8
    assert max(waits) <= 10.1
    assert len(waits) > 10


def test_a_silent_server_is_a_time_out(server: Any) -> None:
    release = threading.Event()
    server.answers(answer(server, body=USER, after=release))
    with Client(server.url, api_key="k", timeout=0.2, retries=Retries(attempts=1)) as client, pytest.raises(TimedOut):
        client.auth.me()
    release.set()


def test_no_server_at_all_names_the_address(server: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with Client(url, api_key="k", retries=QUICK) as client, pytest.raises(ConnectionFailed, match=url):
        client.auth.me()


@pytest.mark.parametrize(
    ("slug", "status", "kind"),
    [
        ("wrong-credentials", 401, WrongCredentials),
        ("invalid-api-key", 401, TokenRefused),
        ("username-taken", 409, AlreadyRegistered),
        ("something-new", 422, InvalidRequest),
        ("something-new", 404, NotFound),
        ("something-new", 500, ServerError),
        ("something-new", 418, ApiError),
    ],
)
def test_the_type_of_a_problem_chooses_the_exception_and_else_its_status(
    server: Any, mill: Client, slug: str, status: int, kind: type[ApiError]
) -> None:
    server.answers(answer(server, status, problem(slug, status, request_id="r1")))
    with pytest.raises(kind) as caught:
        mill.projects.create("P")
    assert type(caught.value) is kind
    assert (caught.value.type, caught.value.request_id) == (slug, "r1")


def test_the_message_names_every_field_that_is_wrong(server: Any, mill: Client) -> None:
    errors = [{"pointer": "/name", "detail": "too long"}, {"line": 3, "column": "age", "detail": "not a number"}]
    server.answers(answer(server, 422, problem("invalid", 422, errors=errors)))
    with pytest.raises(InvalidRequest) as caught:
        mill.projects.create("P")
    assert "/name: too long" in str(caught.value)
    assert "line 3, column age: not a number" in str(caught.value)


def test_an_answer_that_is_no_json_is_not_believed(server: Any, mill: Client) -> None:
    server.answers(answer(server, body=b"<html>a proxy's page</html>"))
    with pytest.raises(UnexpectedAnswer):
        mill.auth.me()
    server.answers(answer(server, 502, b"<html>bad gateway</html>"))
    with pytest.raises(ServerError, match="bad gateway"):
        mill.projects.create("P")


def test_an_answer_without_what_it_promises_is_refused(server: Any, mill: Client) -> None:
    server.answers(answer(server, body={"id": "u"}))
    with pytest.raises(UnexpectedAnswer, match="email"):
        mill.auth.me()


def test_a_token_near_its_end_is_refreshed_before_the_call(server: Any) -> None:
    keeper = MemoryKeeper(Tokens("old", "refresh-1", expires_at=0.0))
    fresh = {"access_token": "new", "refresh_token": "refresh-2", "expires_in": 900}
    by_path(server, {"/api/v1/auth/refresh": fresh, "/api/v1/auth/me": USER})
    with Client(server.url, keeper=keeper) as client:
        client.auth.me()
    refresh, me = server.seen
    assert refresh.json() == {"refresh_token": "refresh-1"}
    assert "authorization" not in refresh.headers
    assert me.headers["authorization"] == "Bearer new"
    kept = keeper.load()
    assert kept is not None
    assert kept.refresh_token == "refresh-2"


def test_a_refused_token_is_refreshed_and_the_call_made_again_even_a_write(server: Any) -> None:
    fresh = {"access_token": "new", "refresh_token": "r2", "expires_in": 900}

    def behave(request: Any) -> Any:
        if request.path.endswith("/refresh"):
            return answer_of(server, fresh)
        if request.headers.get("authorization") == "Bearer new":
            return answer_of(server, {"id": "p", "name": "P"}, 201)
        return answer_of(server, problem("invalid-token", 401), 401)

    server.behave = behave
    with Client(server.url, keeper=MemoryKeeper(Tokens("revoked", "r1", FAR))) as client:
        assert client.projects.create("P").id == "p"
    assert [request.path for request in server.seen] == ["/api/v1/projects", "/api/v1/auth/refresh", "/api/v1/projects"]


def test_many_threads_refresh_once(server: Any) -> None:
    fresh = {"access_token": "new", "refresh_token": "r2", "expires_in": 900}
    by_path(server, {"/api/v1/auth/refresh": fresh, "/api/v1/auth/me": USER})
    with Client(server.url, keeper=MemoryKeeper(Tokens("old", "r1", 0.0))) as client:
        threads = [threading.Thread(target=client.auth.me) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [request.path for request in server.seen].count("/api/v1/auth/refresh") == 1


def test_tokens_renewed_by_another_process_are_used_when_ours_are_spent(server: Any) -> None:
    class Shared(MemoryKeeper):
        """The other process saves its pair just before our refresh is refused."""

        loads = 0

        def load(self) -> Tokens | None:
            self.loads += 1
            return Tokens("theirs", "r2", FAR) if self.loads > 1 else Tokens("old", "r1", 0.0)

    def behave(request: Any) -> Any:
        if request.path.endswith("/refresh"):
            return answer_of(server, problem("refresh-token-used", 401), 401)
        return answer_of(server, USER)

    server.behave = behave
    with Client(server.url, keeper=Shared()) as client:
        client.auth.me()
    assert server.seen[-1].headers["authorization"] == "Bearer theirs"


def test_every_page_of_a_list_is_fetched(server: Any, mill: Client) -> None:
    def behave(request: Any) -> Any:
        if "cursor=c1" in request.path:
            return answer_of(server, {"items": [{"id": "2", "name": "b"}], "next_cursor": None})
        return answer_of(server, {"items": [{"id": "1", "name": "a"}], "next_cursor": "c1"})

    server.behave = behave
    assert [project.name for project in mill.projects.list()] == ["a", "b"]


def test_an_upload_streams_the_file_and_tells_how_far_it_is(server: Any, mill: Client, tmp_path: Path) -> None:
    server.answers(answer(server, 201, {"id": "d", "name": "t", "status": "processing"}))
    table = tmp_path / 'odd "name" – ü.csv'
    table.write_bytes(b"a,b\n" + b"1,2\n" * 100_000)
    told: list[tuple[int, int | None]] = []
    mill.datasets.upload(
        table, project_id="p", tags=["x", "y"], progress=lambda sent, total: told.append((sent, total))
    )
    size = table.stat().st_size
    assert told[-1] == (size, size)
    assert len(told) > 2
    assert table.read_bytes() in server.seen[0].body
    assert int(server.seen[0].headers["content-length"]) == len(server.seen[0].body)


@pytest.mark.parametrize("what", ["table", "model"])
def test_a_file_is_sent_again_whole_with_the_same_key(server: Any, mill: Client, tmp_path: Path, what: str) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(b"a,b\n1,2\n" * 1000)
    server.answers(
        answer(server, hang_up=True),
        answer(server, 201, {"id": "d", "name": "t", "status": "processing", "project_id": "p", "version": 1}),
    )
    if what == "model":
        assert mill.models.upload_file(table, framework="xgboost", project_id="p").id == "d"
    else:
        assert mill.datasets.upload(table, project_id="p").id == "d"
    first, second = server.seen
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert table.read_bytes() in first.body
    assert table.read_bytes() in second.body


def test_a_stream_is_never_sent_twice(server: Any, mill: Client) -> None:
    server.answers(answer(server, 503, {}))
    with pytest.raises(Unavailable):
        mill.datasets.upload(io.BytesIO(b"a\n1\n"), project_id="p", name="t")
    assert len(server.seen) == 1


def test_waiting_follows_the_events_and_resumes_a_broken_stream(server: Any, mill: Client) -> None:
    first = b'id: 1\nevent: stage\ndata: {"stage": "fit"}\n\n: keep-alive\n\n'
    second = b'id: 2\nevent: progress\ndata: {"progress": 0.5}\n\nid: 3\nevent: state\ndata: {"state": "succeeded"}\n\n'
    events = {"Content-Type": "text/event-stream"}

    def behave(request: Any) -> Any:
        if not request.path.endswith("/events"):
            done = any("last-event-id" in seen.headers for seen in server.seen)
            return answer_of(server, job("succeeded" if done else "running"))
        resumed = request.headers.get("last-event-id") == "1"
        return answer_of(server, second if resumed else first, headers=events)

    server.behave = behave
    seen: list[JobEvent] = []
    assert mill.jobs.wait("j", on_event=seen.append).state == "succeeded"
    assert [event.kind for event in seen] == ["stage", "progress", "state"]


def test_waiting_asks_again_and_again_where_events_do_not_come_through(server: Any, mill: Client) -> None:
    states = iter(["queued", "running", "succeeded"])

    def behave(request: Any) -> Any:
        if request.path.endswith("/events"):
            return answer_of(server, {"title": "no streams here"}, 406)
        return answer_of(server, job(next(states), stage="fit"))

    server.behave = behave
    seen: list[JobEvent] = []
    assert mill.jobs.wait("j", on_event=seen.append).state == "succeeded"
    assert [event.data["state"] for event in seen if event.kind == "state"] == ["queued", "running", "succeeded"]


def test_keep_alives_alone_do_not_prolong_the_wait(server: Any, mill: Client) -> None:
    def behave(request: Any) -> Any:
        if request.path.endswith("/events"):
            return answer_of(server, b": keep-alive\n\n" * 50, headers={"Content-Type": "text/event-stream"})
        return answer_of(server, job())

    server.behave = behave
    with pytest.raises(JobStillRunning):
        mill.jobs.wait("j", timeout=0.0)


def test_a_server_that_restarts_meanwhile_is_waited_for(server: Any, mill: Client) -> None:
    asked = iter(range(1000))

    def behave(request: Any) -> Any:
        if next(asked) < 6:
            return server.reply(hang_up=True)
        return answer_of(server, job("succeeded")) if request.path.endswith("/j") else answer_of(server, {}, 406)

    server.behave = behave
    assert mill.jobs.wait("j").state == "succeeded"


def test_a_stream_with_a_refused_token_is_opened_again_with_a_fresh_one(server: Any) -> None:
    fresh = {"access_token": "new", "refresh_token": "r2", "expires_in": 900}
    ended = b'id: 1\nevent: state\ndata: {"state": "succeeded"}\n\n'

    def behave(request: Any) -> Any:
        if request.path.endswith("/refresh"):
            return answer_of(server, fresh)
        if request.headers.get("authorization") != "Bearer new":
            return answer_of(server, problem("invalid-token", 401), 401)
        return answer_of(server, ended if request.path.endswith("/events") else job("succeeded"))

    server.behave = behave
    with Client(server.url, keeper=MemoryKeeper(Tokens("revoked", "r1", FAR))) as client:
        assert client.jobs.wait("j").state == "succeeded"
    assert [request.path.rpartition("/")[2] for request in server.seen] == ["events", "refresh", "events", "j"]


def test_a_failed_job_raises_with_its_reason(server: Any, mill: Client) -> None:
    failed = job("failed", problem=problem("target-constant", 422))
    by_path(server, {"/api/v1/jobs/j": failed})
    with pytest.raises(JobFailed, match="target-constant: why"):
        mill.jobs.wait("j")


def test_waiting_ends_in_time_and_the_job_goes_on(server: Any, mill: Client) -> None:
    by_path(server, {"/api/v1/jobs/j": job()})
    with pytest.raises(JobStillRunning):
        mill.jobs.wait("j", timeout=0.2)


def test_predictions_go_straight_to_the_ml_service_with_the_same_identity(server: Any) -> None:
    server.answers(answer(server, body={"prediction": "yes", "confidence_score": 0.9}))
    with Client("http://127.0.0.1:1", api_key="mm_key", serving_url=server.url) as client:
        assert client.predictions.one("odd/name ü@2", {"a": None}).prediction == "yes"
    request = server.seen[0]
    assert request.path == "/predict/odd%2Fname%20%C3%BC@2"
    assert request.headers["authorization"] == "Bearer mm_key"
    assert request.json()["input_data"] == {"a": None}


def test_a_download_that_breaks_off_leaves_no_file(server: Any, mill: Client, tmp_path: Path) -> None:
    server.answers(answer(server, 404, problem("not-found", 404)))
    with pytest.raises(NotFound):
        mill.datasets.download("d", tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_proxy_of_the_environment_is_not_asked_for_a_server_on_this_machine(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server.answers(answer(server, body=USER))
    with Client(server.url, api_key="k", retries=QUICK) as client:
        assert client.auth.me().username == "ada"


def test_two_kinds_of_credentials_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        Client(api_key="k", username="u", password="p")
    with pytest.raises(ValueError, match="both username and password"):
        Client(username="u")


def answer_of(server: Any, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    return server.reply(status, body, headers=headers or {})


def by_path(server: Any, bodies: dict[str, Any]) -> None:
    """Answer these paths; anything else is not acceptable."""

    def behave(request: Any) -> Any:
        known = request.path in bodies
        return answer_of(server, bodies.get(request.path, {}), 200 if known else 406)

    server.behave = behave
