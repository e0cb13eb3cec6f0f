"""Finding models: by where they come from, also those that were trained elsewhere."""

import pytest
from httpx import AsyncClient
from mill_api.testing import Person


@pytest.fixture
async def uploaded(client: AsyncClient, ada: Person) -> dict[str, str]:
    """The ids of an ONNX and an XGBoost model; their files are looked at later."""
    project = (await client.post("/api/v1/projects", json={"name": "p"}, headers=ada.headers)).json()["id"]
    made: dict[str, str] = {}
    for framework in ("onnx", "xgboost"):
        form = {"project_id": project, "framework": framework, "model_type": "regression", "name": framework}
        files = {"file": ("model", b"{}")}
        answer = await client.post("/api/v1/models/upload", data=form, files=files, headers=ada.headers)
        assert answer.status_code == 201, answer.text
        made[framework] = answer.json()["id"]
    return made


@pytest.mark.parametrize("framework", ["onnx", "xgboost", "lightgbm", "scikit-learn"])
async def test_models_are_found_by_every_framework_there_is(
    client: AsyncClient, ada: Person, uploaded: dict[str, str], framework: str
) -> None:
    answer = await client.get("/api/v1/models", params={"framework": framework}, headers=ada.headers)
    assert answer.status_code == 200, answer.text
    wanted = [uploaded[framework]] if framework in uploaded else []
    assert [item["id"] for item in answer.json()["items"]] == wanted


async def test_a_framework_there_is_not_is_refused(client: AsyncClient, ada: Person) -> None:
    answer = await client.get("/api/v1/models", params={"framework": "abacus"}, headers=ada.headers)
    assert answer.status_code == 422
