"""Spans reach a real OTLP receiver with the ids of the logs; a collector that is down or slow costs nothing."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import httpx
import pytest
from mill_kit import trace
from mill_kit.http.metrics import MetricsMiddleware, RequestMetrics
from mill_kit.http.request_id import RequestIdMiddleware
from mill_kit.http.slashes import TrailingSlashMiddleware
from mill_kit.telemetry import OFF, Kind, TelemetrySettings, Tracer, open_tracer
from mill_kit.telemetry.http import RouteOfSpan
from mill_kit.telemetry.store import traced
from mill_kit.testing import MemoryStore
from mill_kit.testing.collector import Collector, collector
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

CALLER = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Generator[Collector]:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    with collector() as running:
        yield running


@contextmanager
def tracer_to(url: str, service: str = "api-server", *, decides: bool = False) -> Generator[Tracer]:
    tracer = open_tracer(TelemetrySettings(enabled=True, endpoint=url), service, "1.2", "here", decides=decides)
    try:
        yield tracer
    finally:
        tracer.close()


def eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.01)


def test_off_imports_nothing_of_the_library_and_keeps_the_ids_of_the_logs() -> None:
    program = (
        "import sys\n"
        "from mill_kit import trace\n"
        "from mill_kit.telemetry import OFF, Kind, TelemetrySettings, open_tracer\n"
        "tracer = open_tracer(TelemetrySettings(), 'api-server', '1', 'here', decides=True)\n"
        "assert tracer is OFF\n"
        f"with tracer.entry('x', '{CALLER}', Kind.SERVER) as span:\n"
        "    assert span.header == trace.current_header() and span.header.startswith('00-' + 'a' * 32), span.header\n"
        "    assert not span.recording\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def test_the_standards_own_switch_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert open_tracer(TelemetrySettings(enabled=True), "api-server", "1", "here") is OFF


def test_an_endpoint_is_a_url() -> None:
    with pytest.raises(ValidationError, match="http://collector:4318"):
        TelemetrySettings(enabled=True, endpoint="collector:4318")


def test_a_span_has_the_ids_that_the_logs_have_and_says_whose_it_is(receiver: Collector) -> None:
    with tracer_to(receiver.url) as tracer:
        with tracer.entry("GET", CALLER, Kind.SERVER) as span:
            here = trace.current()
            with tracer.step("database write", Kind.CLIENT):
                pass
            span.note({"mill.request_id": "r-1"})
        assert here is not None
        assert span.header == here.header
    outer, inner = sorted(receiver.spans, key=lambda one: one.name)
    assert (outer.trace_id, outer.span_id, outer.parent) == ("a" * 32, here.span_id, "b" * 16)
    assert (inner.trace_id, inner.parent) == ("a" * 32, here.span_id)
    assert outer.attributes["mill.request_id"] == "r-1"
    said = {"service.name": "api-server", "service.version": "1.2", "service.namespace": "modelmill"}
    assert said.items() <= outer.resource.items()
    assert str(outer.resource["service.instance.id"]).startswith("here/")


def test_the_standards_variables_are_respected(receiver: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-api")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=blue")
    tracer = open_tracer(TelemetrySettings(enabled=True), "api-server", "1", "here")
    with tracer.entry("GET", None, Kind.SERVER):
        pass
    tracer.close()
    [span] = receiver.spans
    assert span.service == "our-api"
    assert span.resource["deployment.environment.name"] == "blue"


def test_the_first_service_decides_for_callers_that_do_not_and_the_others_obey(
    receiver: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsampled = CALLER[:-1] + "0"
    with tracer_to(receiver.url, decides=True) as first, first.entry("GET", unsampled, Kind.SERVER):
        passed_on = trace.current_header()
    assert passed_on is not None
    assert passed_on.endswith("-01")
    with tracer_to(receiver.url, "worker") as second:
        with second.entry("job", unsampled, Kind.CONSUMER), second.step("below"):
            pass
        with second.entry("job", passed_on, Kind.CONSUMER):
            pass
    assert [span.service for span in receiver.spans] == ["api-server", "worker"]
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    with tracer_to(receiver.url, decides=True) as none, none.entry("GET", unsampled, Kind.SERVER) as span:
        assert not span.recording
        assert (span.header or "").endswith("-00")


def test_work_of_nobody_leaves_no_span(receiver: Collector) -> None:
    with tracer_to(receiver.url) as tracer, tracer.step("database read"):
        pass
    assert receiver.requests == 0


def app_with(tracer: Tracer) -> Starlette:
    async def show(request: Request) -> Response:
        if request.path_params["name"] == "bad":
            raise RuntimeError("a name of somebody")
        return Response(trace.current_header())

    return Starlette(
        routes=[Route("/things/{name}", show), Route("/health", show)],
        middleware=[
            Middleware(RequestIdMiddleware, tracer=tracer),
            Middleware(TrailingSlashMiddleware),
            Middleware(RouteOfSpan),
            Middleware(MetricsMiddleware, metrics=RequestMetrics(CollectorRegistry())),
        ],
    )


async def ask(app: Starlette, path: str, method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        return await client.request(method, path, headers={"traceparent": CALLER, "x-request-id": "order-12345"})


async def test_a_request_is_named_by_its_route_and_holds_nothing_a_user_typed(receiver: Collector) -> None:
    with tracer_to(receiver.url) as tracer:
        app = app_with(tracer)
        answer = await ask(app, "/things/somebody/?secret=1")
        await ask(app, "/health")
        await ask(app, "/nowhere", "BREW")
        await ask(app, "/things/bad")
        await asyncio.to_thread(tracer.close)
    good, lost, bad = receiver.spans
    assert good.name == "GET /things/{name}"
    assert answer.text == f"00-{good.trace_id}-{good.span_id}-01"
    assert good.attributes == {
        "http.request.method": "GET",
        "http.route": "/things/{name}",
        "http.response.status_code": 200,
        "mill.request_id": "order-12345",
    }
    assert (lost.name, lost.attributes["http.response.status_code"]) == ("HTTP unmatched", 404)
    assert bad.failed
    assert "somebody" not in repr(receiver.spans)


def test_calls_of_the_object_store_are_steps(receiver: Collector) -> None:
    store = MemoryStore()
    assert traced(store, OFF) is store
    with tracer_to(receiver.url) as tracer:
        followed = traced(store, tracer)
        with tracer.entry("job", CALLER, Kind.CONSUMER):
            followed.put("models/1", b"four")
            assert followed.get("models/1") == b"four"
            assert b"".join(followed.stream("models/1")) == b"four"
            with followed.writer("models/2") as writer:
                writer.write(b"xyz")
                writer.commit()
            with pytest.raises(Exception, match="models/3"):
                followed.get("models/3")
    said = {(span.name, span.attributes.get("mill.object.bytes"), span.failed) for span in receiver.spans}
    assert said == {
        ("job", None, False),
        ("store put", 4, False),
        ("store get", 4, False),
        ("store stream", None, False),
        ("store write", 3, False),
        ("store get", None, True),
    }


def work(tracer: Tracer, times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        with tracer.entry("GET", CALLER, Kind.SERVER):
            pass
    return time.perf_counter() - begun


def test_a_collector_that_is_away_slows_nothing_and_is_one_line(
    receiver: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    receiver.status = 503
    with capture_logs() as lines, tracer_to(receiver.url) as tracer:
        assert work(tracer, 3000) < 3, "more than the queue holds, and nobody waits"
        eventually(lambda: len(lines) == 1)
        assert lines[0]["event"] == "traces_not_exported"
        receiver.status = 200
        eventually(lambda: work(tracer, 1) < 1 and len(lines) == 2)
        assert lines[1]["event"] == "traces_exported_again"


def test_a_collector_that_hangs_slows_neither_the_work_nor_the_end(
    receiver: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "20")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "600")
    receiver.slow.clear()
    with tracer_to(receiver.url) as tracer:
        assert work(tracer, 2000) < 3
        eventually(lambda: receiver.requests > 0)
        assert work(tracer, 2000) < 3
        begun = time.perf_counter()
        tracer.close()
        assert time.perf_counter() - begun < 8
