"""One running service with a wide demo model, for every door: numbers, whole numbers, booleans, dates, text, some missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mill_contracts.ids import new_id
from mill_contracts.recipe import Framework, Recipe, Task
from mill_contracts.tables import ColumnKind
from mill_pack import (
    EncodingStyle,
    ManifestDraft,
    Postprocessing,
    fit_encoder,
    golden_rows,
    linear_payload,
    reference_profile,
    write_package,
)

KINDS = {
    "age": ColumnKind.NUMBER,
    "children": ColumnKind.INTEGER,
    "member": ColumnKind.BOOLEAN,
    "since": ColumnKind.DATE,
    "city": ColumnKind.STRING,
}
CLASSES = ("no", "perhaps", "yes")
DAY = 86_400_000.0
TRAINED = 60


def training_columns() -> dict[str, np.ndarray[Any, Any]]:
    count = np.arange(TRAINED)
    return {
        "age": np.where(count % 7 == 0, np.nan, np.linspace(17, 90, TRAINED)),
        "children": (count % 5).astype(np.float64),
        "member": (count % 2).astype(np.float64),
        "since": 1.5e12 + count * DAY,
        "city": np.array([["Oslo", "Bergen", "Tromsø"][number % 3] for number in count], dtype=object),
    }


@dataclass(frozen=True)
class Demo:
    """The service, and the names of its public models."""

    replica: Any
    url: str
    grpc: str
    folder: Path
    classifier: str = "demo"
    regressor: str = "number"
    plain: str = "plain"


def write_model(path: Path, name: str, *, task: Task = Task.CLASSIFICATION, features: tuple[str, ...] = ()) -> Any:
    chosen = features or tuple(KINDS)
    columns = {column: values for column, values in training_columns().items() if column in chosen}
    kinds = {column: kind for column, kind in KINDS.items() if column in chosen}
    is_classifier = task is Task.CLASSIFICATION
    algorithm = "logistic_regression" if is_classifier else "ridge"
    recipe = Recipe(task=task, framework=Framework.SKLEARN, algorithm=algorithm, target="answer")
    style = EncodingStyle(categories="one_hot", scaling="standard", needs_imputation=True)
    encoder = fit_encoder(columns, kinds, recipe, style)
    random = np.random.default_rng(7)
    scores = len(CLASSES) if is_classifier else 1
    weights = random.normal(size=(scores, encoder.width))
    draft = ManifestDraft(
        model_id=str(new_id()),
        model_version_id=str(new_id()),
        name=name,
        version=3,
        task=task,
        target="answer",
        classes=CLASSES if is_classifier else (),
        postprocessing=Postprocessing(low_confidence_below=0.5) if is_classifier else Postprocessing(),
        reference=reference_profile(encoder, columns),
    )
    payload = linear_payload(weights, random.normal(size=scores))
    write_package(path, draft=draft, encoder=encoder, payload=payload, golden_rows=golden_rows(encoder, columns))
    return draft


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, launch: Any, free_port: Any) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("doors")
    write_model(folder / "demo.mill", "demo")
    write_model(folder / "number.mill", "number", task=Task.REGRESSION)
    write_model(folder / "plain.mill", "plain", features=("age", "children"))
    port = free_port()
    with launch(
        folder, store=False, MILL_SERVING__SHARED_MODELS_DIR=str(folder), MILL_SERVING__GRPC_PORT=str(port)
    ) as replica:
        yield Demo(replica, str(replica.http.base_url).rstrip("/"), f"127.0.0.1:{port}", folder)


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    """Rows as JSON: with missing numbers and text, a date as text, a category never seen."""
    return [
        {"age": 40.5, "children": 2, "member": True, "since": "2017-07-14T02:40:00Z", "city": "Oslo"},
        {"age": None, "children": 0, "member": False, "since": "2020-02-29T00:00:00Z", "city": "Bergen"},
        {"age": 17.25, "children": 4, "member": True, "since": "1999-12-31T23:59:59Z", "city": "Tromsø"},
        {"age": 90.0, "children": 1, "member": False, "since": "2026-11-20T12:00:00Z", "city": "Paris"},
    ]
