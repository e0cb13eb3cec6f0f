"""What a deployment does with missing, extra and unseen values is one policy for every door; and who may load a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from mill_contracts.ids import new_id
from mill_contracts.recipe import Framework, Recipe, Task
from mill_contracts.routing import Policy
from mill_contracts.tables import ColumnKind
from mill_pack import (
    EncodingStyle,
    ManifestDraft,
    fit_encoder,
    golden_rows,
    linear_payload,
    reference_profile,
    write_package,
)

WORKSPACE = UUID("019a0000-0000-7000-8000-000000000001")
ROW = {"age": 40.0, "city": "Oslo"}
POLICIES = {
    "usual": None,
    "lenient": Policy(extra="ignore", missing="impute", unseen="accept"),
    "strict": Policy(extra="refuse", missing="refuse", unseen="refuse"),
}


class Package:
    """A model of complete data: nothing was ever missing in training."""

    def __init__(self, path: Path, name: str) -> None:
        columns: dict[str, Any] = {
            "age": np.linspace(20, 80, 61),
            "city": np.array(["Oslo"] * 40 + ["Bergen"] * 21, dtype=object),
        }
        kinds = {"age": ColumnKind.NUMBER, "city": ColumnKind.STRING}
        recipe = Recipe(task=Task.REGRESSION, framework=Framework.SKLEARN, algorithm="ridge", target="answer")
        encoder = fit_encoder(columns, kinds, recipe, EncodingStyle(categories="one_hot"))
        self.path, self.name, self.version = path, name, 1
        self.model_id, self.version_id = new_id(), new_id()
        draft = ManifestDraft(
            model_id=str(self.model_id),
            model_version_id=str(self.version_id),
            name=name,
            version=1,
            task=Task.REGRESSION,
            target="answer",
            reference=reference_profile(encoder, columns),
        )
        weights = np.array([[1.0, *(100.0 * (number + 1) for number in range(encoder.width - 1))]])
        payload = linear_payload(weights, np.zeros(1))
        write_package(path, draft=draft, encoder=encoder, payload=payload, golden_rows=golden_rows(encoder, columns))


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, control_plane: Any, launch: Any, reach: Any) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("policy")
    control = control_plane(folder)
    for name, policy in POLICIES.items():
        control.routes.append(control.route(Package(folder / f"{name}.mill", name), WORKSPACE, policy=policy))
    keys = {
        "predict": control.api_key(WORKSPACE),
        "write": control.api_key(WORKSPACE, scopes=("write",)),
        "elsewhere": control.api_key(new_id(), scopes=("predict", "write")),
        "user": control.token(WORKSPACE, role="user"),
        "scientist": control.token(WORKSPACE, role="data_scientist"),
    }
    control.publish()
    with launch(folder) as replica:
        reach(lambda: replica.predict("strict", keys["predict"], input_data=ROW).status_code == 200)
        reach(lambda: replica.predict("lenient", keys["predict"], input_data=ROW).status_code == 200)
        replica.http.headers["x-api-key"] = keys["predict"]
        yield replica, keys


def ask(deployed: Any, model: str, row: dict[str, Any]) -> list[Any]:
    """The statuses and values of the doors, one row each."""
    http = deployed[0].http
    one = http.post(f"/predict/{model}", json={"input_data": row})
    many = http.post(f"/predict/{model}/batch", json={"inputs": [row]})
    lines = http.post(
        f"/predict/{model}/batch",
        json=row,
        headers={"content-type": "application/x-ndjson", "accept": "application/json"},
    )
    names = list(row)
    cells = ",".join("" if row[name] is None else str(row[name]) for name in names)
    text = http.post(
        f"/predict/{model}/batch",
        content=f"{','.join(names)}\n{cells}\n",
        headers={"content-type": "text/csv", "accept": "application/json"},
    )
    scored = http.post(f"/models/{model}/invocations", json={"instances": [row]})
    found: list[Any] = [one.json()["prediction"] if one.status_code == 200 else one.status_code]
    found += [
        answer.json()["predictions"][0]["prediction"] if answer.status_code == 200 else answer.status_code
        for answer in (many, lines, text)
    ]
    found.append(scored.json()["predictions"][0] if scored.status_code == 200 else 422)
    verdict = http.post(f"/models/{model}:validate", json={"inputs": [row]}).json()
    assert verdict["valid"] == (one.status_code == 200), verdict
    return found


@pytest.mark.parametrize(
    ("row", "usual", "lenient", "strict"),
    [
        (ROW, 140.0, 140.0, 140.0),
        ({**ROW, "shoe": 44}, 422, 140.0, 422),
        ({"age": None, "city": "Oslo"}, 422, 150.0, 422),
        ({"city": "Oslo"}, 422, 150.0, 422),
        ({"age": 40.0}, 422, 140.0, 422),
        ({**ROW, "city": "Paris"}, 40.0, 40.0, 422),
    ],
)
def test_every_door_keeps_the_policy(deployed: Any, row: dict[str, Any], usual: Any, lenient: Any, strict: Any) -> None:
    for name, expected in (("usual", usual), ("lenient", lenient), ("strict", strict)):
        found = ask(deployed, name, row)
        assert found == [expected] * len(found), name


def test_a_refused_category_is_named(deployed: Any) -> None:
    rows = [ROW, {**ROW, "city": "Paris"}]
    answer = deployed[0].http.post("/predict/strict/batch", json={"inputs": rows})
    assert answer.json()["errors"][0]["pointer"] == "/inputs/1/city"
    one = deployed[0].http.post("/predict/strict", json={"input_data": rows[1]})
    assert one.json()["errors"][0]["pointer"] == "/input_data/city"


def test_only_those_who_may_deploy_load_and_unload(deployed: Any) -> None:
    replica, keys = deployed
    for verb in ("unload", "load"):
        path = f"/v2/repository/models/usual/{verb}"
        expected = {"predict": 403, "user": 403, "elsewhere": 404, "write": 200, "scientist": 200}
        for who, status in expected.items():
            answer = replica.http.post(path, headers={"x-api-key": keys[who]})
            assert answer.status_code == status, (who, answer.text)
            assert (status == 200) == ("error" not in answer.json())
        index = replica.http.post("/v2/repository/index", json={}).json()
        states = {model["name"]: model["state"] for model in index}
        assert states["usual"] == ("UNAVAILABLE" if verb == "unload" else "READY")
    assert replica.http.post("/predict/usual", json={"input_data": ROW}).status_code == 200


def test_an_unloaded_model_comes_back_with_its_next_call(deployed: Any) -> None:
    replica, keys = deployed
    replica.http.post("/v2/repository/models/usual/unload", headers={"x-api-key": keys["write"]})
    assert replica.http.post("/predict/usual", json={"input_data": ROW}).json()["prediction"] == 140.0
