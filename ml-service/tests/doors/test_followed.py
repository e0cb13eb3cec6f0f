"""Which requests ml-service follows: those whose caller samples. Others pass without a look, and a caller's word alone leaves a line."""

from collections.abc import Generator

import pytest
from httpx import ASGITransport, AsyncClient
from mill_kit import trace
from mill_kit.telemetry import TelemetrySettings, Tracer, open_tracer
from mill_kit.testing.collector import Collector, collector
from mill_serving.doors.edge import surrounded
from starlette.responses import PlainTextResponse
from structlog.testing import capture_logs

CALLER = f"00-{'a' * 32}-{'b' * 16}"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Generator[Collector]:
    monkeypatch.setenv("NO_PROXY", "*")
    with collector() as running:
        yield running


async def ask(tracer: Tracer, path: str, **headers: str) -> None:
    front = surrounded(PlainTextResponse("fine", headers={"x-request-id": "order-12345"}), "", tracer)
    async with AsyncClient(transport=ASGITransport(front), base_url="http://here") as client:
        assert (await client.post(path, headers=headers)).status_code == 200


async def test_a_sampled_call_is_a_span_whose_name_holds_no_name_of_a_model(receiver: Collector) -> None:
    tracer = open_tracer(TelemetrySettings(enabled=True, endpoint=receiver.url), "ml-service", "1", "here")
    with capture_logs() as lines:
        await ask(tracer, "/predict/somebody/batch", traceparent=f"{CALLER}-01")
        await ask(tracer, "/predict/somebody", traceparent=f"{CALLER}-00")
        await ask(tracer, "/v2/models/somebody/versions/3/infer")
        await ask(tracer, "/predict/somebody", **trace.logged(f"{CALLER}-00"))
    tracer.close()
    [span] = receiver.spans
    assert (span.name, span.trace_id, span.parent) == ("POST /predict/{}/batch", "a" * 32, "b" * 16)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "mill.request_id": "order-12345",
    }
    assert [line["path"] for line in lines] == ["/predict/somebody/batch", "/predict/somebody"]


def test_a_call_that_is_to_be_logged_says_whether_its_trace_is_exported() -> None:
    assert trace.logged(None) == {}
    assert trace.logged(f"{CALLER}-01") == {"traceparent": f"{CALLER}-01"}
    marked = trace.logged(f"{CALLER}-00")
    assert marked["traceparent"] == f"{CALLER}-01"
    assert trace.is_logged_alone(marked["tracestate"])
    assert trace.is_logged_alone("other=1, mill=log")
    assert not trace.is_logged_alone("mill=logs,other=mill")
