"""The addresses of the other protocols, for the OpenAPI document: what they are and whose specification tells the rest."""

from typing import Any

_V2 = 'Open Inference Protocol, version 2; errors are `{"error": …}`.'
_SCORING = 'MLflow scoring; errors are `{"error_code": …, "message": …}`.'
_ADDRESSES: tuple[tuple[str, str, str, str, str], ...] = (
    ("get", "/v2", "v2_server", "Server metadata", _V2),
    ("get", "/v2/health/live", "v2_live", "Whether the server runs", _V2),
    ("get", "/v2/health/ready", "v2_ready", "Whether it can serve", _V2),
    ("get", "/v2/models", "v2_models", "Names of the models you may call", _V2),
    ("get", "/v2/models/stats", "v2_all_stats", "Counts of all models", _V2),
    ("get", "/v2/models/{model}", "v2_metadata", "Inputs and outputs (also with /versions/{version})", _V2),
    ("get", "/v2/models/{model}/ready", "v2_model_ready", "Whether a model can serve", _V2),
    ("get", "/v2/models/{model}/config", "v2_config", "A model's configuration", _V2),
    ("get", "/v2/models/{model}/stats", "v2_stats", "A model's counts", _V2),
    ("post", "/v2/models/{model}/infer", "v2_infer", "Predict; tensors as JSON or bytes", _V2),
    ("post", "/v2/repository/index", "v2_index", "What is deployed, and what is in memory", _V2),
    ("post", "/v2/repository/models/{model}/load", "v2_load", "Load (role data_scientist, or scope write)", _V2),
    ("post", "/v2/repository/models/{model}/unload", "v2_unload", "Free its memory; the next call loads it", _V2),
    ("post", "/invocations", "invocations", "Predict with the default model", _SCORING),
    ("post", "/models/{model}/invocations", "model_invocations", "Predict", _SCORING),
    ("get", "/ping", "ping", "Whether something can be served", _SCORING),
    ("get", "/models/{model}/ping", "model_ping", "Whether this model can be served", _SCORING),
    ("get", "/models/{model}/openapi.json", "model_openapi", "The model's own OpenAPI document", "With its schema."),
)
_LISTS = {"v2_index"}
_PINGS = {"ping", "model_ping"}
_EMPTY: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}


def other_protocols() -> dict[str, dict[str, Any]]:
    """Paths of OpenAPI."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path, operation, summary, description in _ADDRESSES:
        paths.setdefault(path, {})[method] = _operation(method, path, operation, summary, description)
    return paths


def _operation(method: str, path: str, operation: str, summary: str, description: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    answer = content | {"application/json": {"schema": {"type": "array"}}} if operation in _LISTS else content
    refusal = content | {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    described: dict[str, Any] = {
        "operationId": operation,
        "summary": summary,
        "description": description,
        "tags": ["other protocols"],
        "security": [{}, {"ApiKey": []}, {"Bearer": []}],
        "responses": {
            "200": {"description": "The answer", "content": _EMPTY if operation in _PINGS else answer},
            "default": {"description": "A refusal, in the shape of the protocol", "content": refusal},
        },
    }
    if "{model}" in path:
        described["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]
    if method == "post":
        described["requestBody"] = {"content": content}
    return described
