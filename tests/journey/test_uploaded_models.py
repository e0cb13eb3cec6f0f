"""A model trained elsewhere, end to end: uploaded, validated, deployed, predicting as its library does, explained; and refused."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# XGBoost and scikit-learn are untyped or partly typed; this test trains one model with each.

import io
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import skops.io
import xgboost
from modelmill import Client, JobFailed
from modelmill.cli._app import build
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from tests.conftest import Stack


@pytest.fixture(scope="module")
def mill(stack: Stack) -> Iterator[Client]:
    with stack.client("adopter") as client:
        yield client


@pytest.fixture(scope="module")
def project(mill: Client) -> str:
    return mill.projects.create("outside").id


def test_an_uploaded_model_predicts_and_explains_like_any_other(mill: Client, project: str, stack: Stack) -> None:
    data: Any = load_breast_cancer()
    names = [name.replace(" ", "_") for name in data.feature_names]
    model = xgboost.XGBClassifier(n_estimators=10, max_depth=3, n_jobs=1).fit(data.data, data.target)
    file = io.BytesIO(bytes(model.get_booster().save_raw("json")))
    samples = [dict(zip(names, row, strict=True)) for row in data.data[:5].tolist()]
    signature = {"classes": ["malignant", "benign"], "target": "diagnosis"}
    uploaded = mill.models.upload_file(
        file, name="tumours", project_id=project, framework="xgboost", signature=signature, sample_rows=samples
    )
    assert uploaded.status in {"quarantined", "validating", "ready"}
    ready = mill.models.wait(uploaded, timeout=120)
    assert (ready.status, ready.target, ready.latest["upload"]["format"]) == ("ready", "diagnosis", "xgboost-json")
    mill.models.deploy(ready.id)
    mill.models.wait_deployed(ready.id)
    answers = [mill.predictions.one("tumours", row) for row in samples]
    expected = model.predict_proba(data.data[:5])[:, 1]
    benign = [(answer.probabilities or {})["benign"] for answer in answers]
    np.testing.assert_allclose(benign, expected, atol=1e-6)
    apart = re.search(r"^isolated_model_processes (\d+)", httpx.get(f"{stack.serving_url}/metrics").text, re.MULTILINE)
    assert apart is not None
    assert float(apart[1]) >= 1, "it predicts in a process of its own"
    assert [model.name for model in mill.models.list(project_id=project, status="deployed")] == ["tumours"]
    mill.models.undeploy(ready.id)
    assert mill.models.get(ready.id).status == "ready"


def test_the_next_version_of_a_model_may_come_as_another_kind_of_file(mill: Client, project: str) -> None:
    x, y = load_diabetes(return_X_y=True)
    first = xgboost.XGBRegressor(n_estimators=5, n_jobs=1).fit(x, y)
    file = io.BytesIO(bytes(first.get_booster().save_raw("ubj")))
    made = mill.models.upload_file(
        file, name="progress", project_id=project, framework="xgboost", model_type="regression"
    )
    assert mill.models.wait(made, timeout=120).status == "ready"
    second = skops.io.dumps(make_pipeline(StandardScaler(), Ridge()).fit(x, y))
    again = mill.models.upload_file(io.BytesIO(second), model_id=made.id, framework="scikit-learn")
    found = mill.models.wait(again, timeout=120)
    assert (found.version, found.status, found.framework) == (2, "ready", "scikit-learn")


def test_a_pickle_is_rejected_with_words_that_help_and_leaves_nothing_behind(
    stack: Stack, mill: Client, project: str
) -> None:
    content = pickle.dumps({"weights": [1.0, 2.0]})
    made = mill.models.upload_file(io.BytesIO(content), name="sneaky", project_id=project, framework="scikit-learn")
    with pytest.raises(JobFailed, match=r"skops\.io\.dump"):
        mill.models.wait(made, timeout=120)
    found = mill.models.get(made.id)
    assert found.status == "rejected"
    assert (found.latest["problem"] or {})["type"] == "urn:modelmill:problem:code-in-model-file"
    quarantine = stack.home.folder("objects") / "quarantine"
    assert not [path for path in quarantine.rglob("*") if path.is_file()]


def test_the_command_line_adopts_a_file(
    stack: Stack, mill: Client, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = load_diabetes(return_X_y=True)
    path = tmp_path / "ridge.skops"
    path.write_bytes(skops.io.dumps(Ridge().fit(x, y)))
    monkeypatch.setenv("MODELMILL_URL", stack.api_url)
    monkeypatch.setenv("MODELMILL_API_KEY", mill.auth.create_key("cli", scopes=["read", "write"]).key or "")
    done = CliRunner().invoke(
        build(),
        ["adopt", str(path), "--framework", "scikit-learn", "--type", "regression", "--project", "outside", "--json"],
    )
    assert done.exit_code == 0, done.output
    shown = json.loads(re.sub(r"^[^{]*", "", done.stdout))
    assert (shown["name"], shown["status"]) == ("ridge", "ready")
