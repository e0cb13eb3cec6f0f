"""What several attacks share: the list of routes, bodies that fit them, people of two workspaces with something to steal."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from httpx import AsyncClient, Response
from mill_api.app import openapi_document
from mill_api.testing import Person, invite, register
from mill_contracts.tokens import Role
from mill_serving.app import VERSION
from mill_serving.doors.documents import create_documents

NO_ID = "0197a000-0000-7000-8000-000000000000"
VERBS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")
ENTRY = {f"/api/v1/auth/{verb}" for verb in ("register", "token", "refresh", "logout")}
"""Where one comes without credentials, because this is where one gets them."""
CSV = b"a,b,label\n" + b"".join(b"%d,%d,%s\n" % (n, n * n % 7, b"xy"[n % 2 : n % 2 + 1]) for n in range(40))


def api_routes() -> list[tuple[str, str]]:
    return _routes(openapi_document())


def serving_routes() -> list[tuple[str, str]]:
    return _routes(create_documents(VERSION).openapi())


def _routes(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(verb.upper(), path) for path, verbs in sorted(document["paths"].items()) for verb in verbs]


def filled(path: str, **values: str) -> str:
    """The path with every parameter filled in: by `values`, else by an id that nobody has."""
    return re.sub(r"\{([^}]+)\}", lambda found: values.get(found[1], NO_ID), path)


def string_fields(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(schema, field, its schema) for everything that any request or answer holds."""
    for name, schema in document["components"]["schemas"].items():
        for field_name, field_schema in schema.get("properties", {}).items():
            yield name, field_name, field_schema


@dataclass
class Estate:
    """A person with one of everything; `ids` by the name of the path parameter that takes them."""

    owner: Person
    ids: dict[str, str] = field(default_factory=dict[str, str])

    def path(self, path: str) -> str:
        return filled(path, **self.ids)


async def upload(
    client: AsyncClient,
    headers: dict[str, str],
    project: str,
    *,
    name: str = "Table",
    file_name: str = "table.csv",
    data: bytes = CSV,
) -> Response:
    return await client.post(
        "/api/v1/datasets",
        headers=headers,
        data={"project_id": project, "name": name},
        files={"file": (file_name, data, "text/csv")},
    )


def wish(estate: "Estate", **changes: Any) -> dict[str, Any]:
    """A training that fits the estate's table."""
    plain = {
        "name": "Model",
        "project_id": estate.ids["project_id"],
        "dataset_id": estate.ids["dataset_id"],
        "model_type": "classification",
        "framework": "scikit-learn",
        "target": "label",
    }
    return {**plain, **changes}


async def make_estate(client: AsyncClient, name: str) -> Estate:
    """Registered, with a project, a dataset, a model, their jobs, a deployment, a key and a colleague."""
    owner = await register(client, name)
    estate = Estate(owner)

    async def post(path: str, **content: Any) -> dict[str, Any]:
        answer = await client.post(path, headers=owner.headers, **content)
        assert answer.is_success, answer.text
        return answer.json()

    estate.ids["project_id"] = (await post("/api/v1/projects", json={"name": f"Project of {name}"}))["id"]
    dataset = await upload(client, owner.headers, estate.ids["project_id"])
    assert dataset.status_code == 201, dataset.text
    estate.ids |= {"dataset_id": dataset.json()["id"], "job_id": dataset.json()["job_id"], "version": "1"}
    model = await post("/api/v1/models", json=wish(estate))
    estate.ids["model_id"] = model["id"]
    deployment = await post(f"/api/v1/models/{model['id']}/deploy", json={})
    estate.ids["deployment_id"] = deployment["id"]
    key = await post("/api/v1/api-keys", json={"name": "key", "scopes": ["read", "write", "predict"]})
    estate.ids |= {"key_id": key["id"], "key": key["key"]}
    colleague = await invite(client, owner, Role.USER)
    estate.ids["user_id"] = str(colleague.id)
    return estate


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file under `folder` with its size and the time of its last change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
