"""The FastAPI app: documentation, the list of models, statistics, health. Nothing on it is hot; it describes the hot doors too."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from mill_kit.http.docs import docs_routes
from mill_kit.http.problems import install
from mill_kit.http.request_id import RequestIdMiddleware
from mill_kit.http.security import SecurityHeaders
from mill_kit.http.unforeseen import Unforeseen

from mill_serving.doors import pool, wire
from mill_serving.doors.batch import BATCH
from mill_serving.doors.dependencies import Secret, TheEngine
from mill_serving.doors.edge import DOCUMENT_HEADERS
from mill_serving.doors.explain import EXPLAIN, ExplainAnswer, ExplainRequest
from mill_serving.doors.json_schema import row_schema
from mill_serving.doors.model import VALIDATE, Verdict
from mill_serving.doors.other_protocols import other_protocols
from mill_serving.doors.predict import ONE
from mill_serving.doors.schemas import GlobalStatistics, Latency, ModelInfo, ModelList, ModelStatistics, Stats
from mill_serving.doors.tables.forms import CONTENT_TYPES
from mill_serving.engine import Engine
from mill_serving.statistics import ModelView
from mill_serving.targets import Target

_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
_PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_REFUSALS = {
    "401": "credentials missing or refused",
    "403": "the key lacks the scope 'predict'",
    "404": "no such model for this caller",
    "413": "too many bytes or rows",
    "422": "malformed JSON, or a row that does not fit the signature",
    "503": "overloaded, or the model cannot be loaded now; see Retry-After",
}

router = APIRouter()


@router.get("/models", tags=["models"])
async def list_models(engine: TheEngine, secret: Secret) -> ModelList:
    """The models you may call: the public ones, and with an API key or access token those of its workspace."""
    found = [_info(engine, target) for target in engine.visible(secret)]
    return ModelList(models=found, total=len(found))


@router.get("/models/{model:path}/schema", tags=["models"])
async def model_schema(model: str, engine: TheEngine, secret: Secret) -> dict[str, Any]:
    """JSON Schema (2020-12) of one row of `input_data`."""
    target = engine.find(unquote(model), secret)
    return row_schema(target.name, (await engine.load(target)).package.signature)


@router.get("/models/{model:path}", tags=["models"])
async def show_model(model: str, engine: TheEngine, secret: Secret) -> ModelInfo:
    """One model by id, name or name@version, with its signature."""
    target = engine.find(unquote(model), secret)
    await engine.load(target)
    return _info(engine, target)


@router.get("/stats", tags=["operations"])
async def stats(engine: TheEngine, secret: Secret) -> Stats:
    """Counters since the start of this replica. `models` shows what the caller may see."""
    return Stats(totals=_totals(engine), models=_by_model(engine, engine.visible(secret)))


def create_documents(version: str) -> FastAPI:
    """Without an engine it can still describe itself: `python -m mill_serving openapi` needs no settings."""
    app = FastAPI(
        title="Modelmill data plane",
        version=version,
        description="Predictions of deployed models. Keys: `X-API-Key`, or `Authorization: Bearer`.",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(SecurityHeaders, headers=DOCUMENT_HEADERS)
    app.router.routes.extend(docs_routes(app.title))
    app.include_router(router)
    app.include_router(pool.router)
    app.add_middleware(Unforeseen)
    app.add_middleware(RequestIdMiddleware)
    install(app, RequestValidationError)
    app.openapi = _with_hot_routes(app.openapi)
    return app


def _info(engine: Engine, target: Target) -> ModelInfo:
    return ModelInfo(
        model_id=target.model_id,
        model_version_id=target.version_id,
        name=target.name,
        version=target.version,
        public=target.public,
        loaded=engine.registry.holds(target),
        size_bytes=target.size,
        signature=engine.signature(target),
    )


def _totals(engine: Engine) -> GlobalStatistics:
    counted, statistics = engine.census.take(), engine.statistics
    views, kept = counted.models.values(), counted.published
    total = sum(view.counts.requests for view in views)
    success = sum(view.counts.success for view in views)
    hits, found = kept["model_cache_hits"], kept["prediction_cache_hits"]
    return GlobalStatistics(
        uptime_seconds=round(statistics.uptime_seconds, 3),
        total_requests=total,
        successful_requests=success,
        success_rate=_share(success, total),
        throughput=round(total / max(statistics.uptime_seconds, 1e-3), 3),
        requests_per_second=round(sum(view.recent_per_second() for view in views), 3),
        active_requests=int(kept["active_requests"]),
        cache_hit_rate=_share(hits, hits + kept["model_cache_misses"]),
        prediction_cache_hit_rate=_share(found, found + kept["prediction_cache_misses"]),
        loaded_models=int(kept["model_cache_entries"]),
        cache_bytes=int(kept["model_cache_bytes"]),
        cache_budget_bytes=int(kept["model_cache_budget_bytes"]),
        snapshot_number=engine.keeper.number,
        workers=int(kept["workers"]),
    )


def _by_model(engine: Engine, targets: list[Target]) -> dict[str, ModelStatistics]:
    found: dict[str, ModelStatistics] = {}
    seen: set[str] = set()
    views = engine.census.take().models
    for target in targets:
        view = views.get(target.label)
        if view is None or target.label in seen:
            continue
        seen.add(target.label)
        found[target.model_id if target.name in found else target.name] = _one_model(target, view)
    return found


def _one_model(target: Target, view: ModelView) -> ModelStatistics:
    counters = view.counts
    return ModelStatistics(
        model_id=target.model_id,
        name=target.name,
        requests=counters.requests,
        rows=counters.rows,
        success_rate=_share(counters.success, counters.requests),
        requests_per_second=view.recent_per_second(),
        cached=counters.cached,
        latency_ms=Latency(**view.quantiles_ms()),
    )


def _share(part: float, whole: float) -> float:
    return round(part / whole, 6) if whole else 0.0


def _with_hot_routes(describe: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The hot doors are not FastAPI's: their paths and bodies are added to its document."""

    def openapi() -> dict[str, Any]:
        document = describe()
        _, components = msgspec.json.schema_components(
            [
                wire.PredictRequest,
                wire.PredictAnswer,
                wire.BatchRequest,
                wire.BatchAnswer,
                ExplainRequest,
                ExplainAnswer,
                Verdict,
            ],
            ref_template="#/components/schemas/{name}",
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(components, Problem=_PROBLEM)
        document["components"]["securitySchemes"] = {
            "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "Bearer": {"type": "http", "scheme": "bearer"},
        }
        document["paths"][ONE] = {"post": _hot("predict", "Predict one row", "PredictRequest", "PredictAnswer")}
        document["paths"][BATCH] = {
            "post": _with_forms(_hot("predict_batch", "Predict rows", "BatchRequest", "BatchAnswer"))
        }
        document["paths"][EXPLAIN] = {"post": _hot("explain", "Explain rows", "ExplainRequest", "ExplainAnswer")}
        document["paths"][VALIDATE] = {"post": _hot("validate", "Explain a payload", "BatchRequest", "Verdict")}
        document["paths"].update(other_protocols())
        _add_refusals(document)
        return document

    return openapi


def _add_refusals(document: dict[str, Any]) -> None:
    """Whatever else goes wrong is told as a problem document too; FastAPI describes a form of refusal that is not ours."""
    for path in document["paths"].values():
        for operation in path.values():
            answers = operation["responses"]
            if "application/json" in answers.get("422", {}).get("content", {}):
                del answers["422"]
            answers.setdefault("default", {"description": "A problem document (RFC 9457)", "content": _PROBLEM_CONTENT})


def _hot(operation: str, summary: str, request: str, answer: str) -> dict[str, Any]:
    refusals = {status: {"description": text, "content": _PROBLEM_CONTENT} for status, text in _REFUSALS.items()}
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["predictions"],
        "description": "`model` is an id, a name or name@version, percent-encoded. Public models need no key.",
        "security": [{}, {"ApiKey": []}, {"Bearer": []}],
        "parameters": [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": {"required": True, "content": _json(request)},
        "responses": {"200": {"description": "The prediction", "content": _json(answer)}, **refusals},
    }


def _with_forms(operation: dict[str, Any]) -> dict[str, Any]:
    """Batches have other forms than JSON, and are answered in the form of the request or by Accept."""
    table = {"schema": {"type": "string", "format": "binary"}}
    forms = {content_type: table for name, content_type in CONTENT_TYPES.items() if name != "json"}
    operation["requestBody"]["content"].update(forms)
    operation["responses"]["200"]["content"].update(forms)
    return operation


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
