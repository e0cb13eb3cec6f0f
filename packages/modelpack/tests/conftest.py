"""A small table with every kind of column, encoders fitted on it, and ready packages."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mill_contracts.recipe import DerivedFeature, Framework, Preprocessing, Recipe, Task
from mill_contracts.tables import ColumnKind
from mill_pack import (
    Encoder,
    EncodingStyle,
    EnginePayload,
    ManifestDraft,
    Postprocessing,
    fit_encoder,
    golden_rows,
    linear_payload,
    write_package,
)
from mill_pack.samples import Row, to_json
from numpy.typing import NDArray

ROWS = 400
TREE_STYLE = EncodingStyle()
LINEAR_STYLE = EncodingStyle(categories="one_hot", scaling="standard", needs_imputation=True)
DERIVED = (
    DerivedFeature(name="ratio", expression="hours / age"),
    DerivedFeature(name="log gain", expression="log1p([capital gain]) * 2"),
)


@dataclass(frozen=True)
class Table:
    columns: dict[str, NDArray[Any]]
    kinds: dict[str, ColumnKind]

    def rows(self, encoder: Encoder) -> list[Row]:
        """As a client would send them."""
        features = encoder.signature_features
        return [{spec.name: to_json(spec, self.columns[spec.name][row]) for spec in features} for row in range(ROWS)]


@pytest.fixture(scope="session")
def table() -> Table:
    random = np.random.default_rng(7)
    jobs = np.array([f"job {number}" for number in random.geometric(0.3, ROWS)], dtype=object)
    jobs[random.random(ROWS) < 0.1] = None
    hours = random.normal(40, 10, ROWS)
    hours[random.random(ROWS) < 0.1] = np.nan
    columns: dict[str, NDArray[Any]] = {
        "age": random.integers(0, 90, ROWS).astype(np.float64),
        "hours": hours,
        "capital gain": random.exponential(1000, ROWS),
        "member": random.integers(0, 2, ROWS).astype(np.float64),
        "job": jobs,
        "colour": random.choice(np.array(["red", "green", "blue"], dtype=object), ROWS),
        "joined": random.integers(-1000, 20_000, ROWS).astype(np.float64) * 86_400_000,
        "seen at": random.integers(0, 1_700_000_000_000, ROWS).astype(np.float64),
    }
    kinds = {
        "age": ColumnKind.INTEGER,
        "hours": ColumnKind.NUMBER,
        "capital gain": ColumnKind.NUMBER,
        "member": ColumnKind.BOOLEAN,
        "job": ColumnKind.STRING,
        "colour": ColumnKind.STRING,
        "joined": ColumnKind.DATE,
        "seen at": ColumnKind.TIMESTAMP,
    }
    return Table(columns, kinds)


def recipe_for(**preprocessing: Any) -> Recipe:
    return Recipe(
        task=Task.CLASSIFICATION,
        framework=Framework.SKLEARN,
        algorithm="some_algorithm",
        target="income",
        preprocessing=Preprocessing(**preprocessing),
    )


Fit = Callable[..., Encoder]


@pytest.fixture(scope="session")
def fit(table: Table) -> Fit:
    """`fit(style, **preprocessing)` on the table."""

    def fitted(style: EncodingStyle = TREE_STYLE, **preprocessing: Any) -> Encoder:
        return fit_encoder(table.columns, table.kinds, recipe_for(**preprocessing), style)

    return fitted


@pytest.fixture(scope="session")
def styles() -> dict[str, EncodingStyle]:
    return {"tree": TREE_STYLE, "linear": LINEAR_STYLE}


@dataclass(frozen=True)
class Parts:
    """What `write_package` takes."""

    draft: ManifestDraft
    encoder: Encoder
    payload: EnginePayload
    golden_rows: list[Row]

    def write(self, path: Path, **changes: Any) -> Path:
        parts: dict[str, Any] = {
            "draft": self.draft,
            "encoder": self.encoder,
            "payload": self.payload,
            "golden_rows": self.golden_rows,
        }
        write_package(path, **(parts | changes))
        return path


def draft_for(classes: tuple[str, ...] = ("no", "yes"), **postprocessing: Any) -> ManifestDraft:
    return ManifestDraft(
        model_id="m",
        model_version_id="v",
        name="income",
        version=3,
        task=Task.CLASSIFICATION if classes else Task.REGRESSION,
        target="income",
        classes=classes,
        postprocessing=Postprocessing(**postprocessing),
    )


@pytest.fixture(scope="session")
def parts(table: Table, fit: Fit) -> Parts:
    """A binary logistic model over all kinds of columns, its weights drawn once."""
    encoder = fit(LINEAR_STYLE, derived=DERIVED, max_categories=5)
    random = np.random.default_rng(11)
    payload = linear_payload(random.normal(size=(1, encoder.width)), random.normal(size=1))
    return Parts(draft_for(), encoder, payload, golden_rows(encoder, table.columns))


@pytest.fixture(scope="session")
def package_file(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return parts.write(tmp_path_factory.mktemp("package") / "model.mill")
