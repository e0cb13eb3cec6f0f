"""An API key that is bound to one model reaches no other by a path or a body; a route that is added is declared here or fails."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from httpx import AsyncClient, Response
from mill_api.app import openapi_document
from mill_api.deployments.tables import BatchPredictionRow, PredictionRow
from mill_api.parts import Parts
from mill_api.registry import MODEL_OF
from mill_api.testing import Person
from mill_contracts.ids import WorkspaceId, new_id

Trained = Callable[..., Awaitable[dict[str, Any]]]
TAGS = {"models", "deployments", "batch predictions", "predictions", "jobs"}
LISTS = {
    "GET /api/v1/models",
    "GET /api/v1/models/leaderboard",
    "GET /api/v1/deployments",
    "GET /api/v1/batch-predictions",
    "GET /api/v1/predictions",
    "GET /api/v1/jobs",
}
IN_THE_BODY = {"POST /api/v1/models", "POST /api/v1/models/upload", "POST /api/v1/predictions"}
OF_NO_MODEL = {"GET /api/v1/models/algorithms"}
REFUSED = "The API key is bound to other models"


def routes() -> list[str]:
    """Every route of models and what is made of them, and every other one that names such a thing in its path."""
    paths = openapi_document()["paths"].items()
    return [
        f"{verb.upper()} {path}"
        for path, verbs in paths
        for verb, operation in verbs.items()
        if TAGS & set(operation["tags"]) or names_model(path)
    ]


def names_model(path: str) -> bool:
    return bool(MODEL_OF.keys() & set(re.findall(r"\{([^}]+)\}", path)))


BY_PATH = [route for route in routes() if names_model(route)]


async def bound_key(client: AsyncClient, who: Person, model: dict[str, Any]) -> dict[str, str]:
    wanted = {"name": "k", "scopes": ["read", "write", "predict"], "model_ids": [model["id"]]}
    answer = await client.post("/api/v1/api-keys", json=wanted, headers=who.headers)
    assert answer.status_code == 201, answer.text
    return {"X-API-Key": answer.json()["key"]}


async def made_of(client: AsyncClient, parts: Parts, who: Person, model: dict[str, Any]) -> dict[str, str]:
    """One of everything that is made of a model, by the name of its path parameter."""
    live = await client.post(f"/api/v1/models/{model['id']}/deploy", headers=who.headers)
    assert live.status_code == 200, live.text
    at = {"tenant_id": who.workspace_id, "model_id": model["id"]}
    batch = BatchPredictionRow(id=new_id(), **at)
    batch.model_version_id, batch.job_id, batch.file_name = model["version_id"], new_id(), "d.csv"
    batch.output_format, batch.return_probabilities = "csv", False
    asked = PredictionRow(id=new_id(), **at, model=model["name"], asked_by=who.id, status=200)
    asked.milliseconds, asked.input, asked.output = 1.0, {}, {}
    async with parts.database.writing(WorkspaceId(who.workspace_id)) as work:
        work.session.add_all([batch, asked])
        await work.session.flush()
    ids = {"batch_id": str(batch.id), "prediction_id": str(asked.id), "deployment_id": live.json()["id"]}
    return {"model_id": model["id"], "job_id": model["job_id"], "version": "1", **ids}


def is_refused(answer: Response) -> bool:
    return answer.status_code == 404 and answer.json()["detail"] == REFUSED


def test_every_route_that_takes_a_model_is_declared() -> None:
    assert set(routes()) == {*BY_PATH, *LISTS, *IN_THE_BODY, *OF_NO_MODEL}
    assert {name for route in BY_PATH for name in re.findall(r"\{([^}]+)\}", route)} - {"version"} == set(MODEL_OF)


async def test_no_path_leads_to_another_model(client: AsyncClient, ada: Person, parts: Parts, trained: Trained) -> None:
    key = await bound_key(client, ada, await trained(ada, "own"))
    ids = await made_of(client, parts, ada, await trained(ada, "other"))
    let_through: list[tuple[str, int]] = []
    for route in BY_PATH:
        method, path = route.split()
        answer = await client.request(method, path.format(**ids), headers=key)
        if not is_refused(answer):
            let_through.append((route, answer.status_code))
    assert let_through == []
    whole = await client.get(f"/api/v1/models/{ids['model_id']}/deployment", headers=ada.headers)
    assert whole.status_code == 200, "nothing was taken off or deleted"


async def test_its_own_model_is_there(client: AsyncClient, ada: Person, parts: Parts, trained: Trained) -> None:
    own = await trained(ada, "own")
    key, ids = await bound_key(client, ada, own), await made_of(client, parts, ada, own)
    for route in BY_PATH:
        if route.startswith("GET ") and not route.endswith(("/download", "/events", "/log")):
            answer = await client.get(route.split()[1].format(**ids), headers=key)
            assert answer.status_code == 200, (route, answer.text)
    assert (await client.post(f"/api/v1/models/{own['id']}/deploy", headers=key)).status_code == 200


@pytest.mark.parametrize("name", ["other", "new"])
@pytest.mark.parametrize("route", sorted(IN_THE_BODY))
async def test_no_body_names_another_model(
    client: AsyncClient, ada: Person, trained: Trained, route: str, name: str
) -> None:
    key = await bound_key(client, ada, await trained(ada, "own"))
    other = await trained(ada, "other")
    table: dict[str, Any] = {
        "data": {"project_id": other["project_id"], "name": "t"},
        "files": {"file": ("t.csv", b"a,b\n1,2\n")},
    }
    data = (await client.post("/api/v1/datasets", **table, headers=ada.headers)).json()
    form = {"name": name, "project_id": other["project_id"], "framework": "xgboost", "model_type": "classification"}
    contents: dict[str, dict[str, Any]] = {
        "POST /api/v1/models": {"json": form | {"dataset_id": data["id"]}},
        "POST /api/v1/models/upload": {"data": form, "files": {"file": ("m.json", b"{}")}},
        "POST /api/v1/predictions": {"json": {"model": name, "input_data": {"a": 1}}},
    }
    answer = await client.post(route.split()[1], headers=key, **contents[route])
    assert is_refused(answer), answer.text
    kept = await client.get(f"/api/v1/models/{other['id']}", headers=ada.headers)
    assert kept.json()["version"] == 1


async def test_a_prediction_is_asked_of_its_own_by_id_name_and_version(
    client: AsyncClient, ada: Person, trained: Trained
) -> None:
    """No ml-service runs here: what is let through finds nobody."""
    own, other = await trained(ada, "own"), await trained(ada, "other")
    key = await bound_key(client, ada, own)
    for word, refused in {own["id"]: False, "own": False, "own@1": False, other["id"]: True, "other@1": True}.items():
        wanted = {"model": word, "input_data": {"a": 1}}
        assert is_refused(await client.post("/api/v1/predictions", json=wanted, headers=key)) == refused, word


async def test_a_project_with_other_models_is_not_deleted(client: AsyncClient, ada: Person, trained: Trained) -> None:
    own, other = await trained(ada, "own"), await trained(ada, "other")
    key = await bound_key(client, ada, own)
    assert (await client.post(f"/api/v1/models/{other['id']}/deploy", headers=ada.headers)).status_code == 200
    answer = await client.delete(f"/api/v1/projects/{own['project_id']}?force=true", headers=key)
    assert is_refused(answer), answer.text
    assert (await client.get(f"/api/v1/models/{other['id']}", headers=ada.headers)).status_code == 200
