"""A19: every CSV that leaves the platform is safe to open in a spreadsheet: what would be a formula is text, numbers stay numbers."""

# pyarrow ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from httpx import AsyncClient
from mill_pack import Predictions
from mill_serving.doors.tables.forms import write_table
from mill_trainer.score.output import PredictionFile

from tests.security.support import Estate, api_routes

STARTS = ("=", "+", "-", "@", "\t", "\r")
FORMULAS = [f"{start}cmd|' /C calc'!A0" for start in STARTS]


def cells(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


def dangerous(cell: str) -> bool:
    """Begins like a formula, and is no number."""
    if not cell.startswith(STARTS):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


async def test_the_audit_log_as_csv_holds_no_formula(client: AsyncClient, victim: Estate) -> None:
    headers = victim.owner.headers
    for formula in FORMULAS:
        await client.post("/api/v1/projects", headers=headers, json={"name": formula, "description": formula})
        await client.post("/api/v1/api-keys", headers=headers, json={"name": formula})
        await client.patch("/api/v1/users/me", headers=headers, json={"full_name": formula})
    exports = [path for verb, path in api_routes() if verb == "GET" and path.endswith("/export")]
    assert exports
    for path in exports:
        answer = await client.get(path, headers=headers, params={"format": "csv"})
        assert answer.status_code == 200, answer.text
        assert [cell for cell in cells(answer.text) if dangerous(cell)] == []


def test_a_scored_file_as_csv_holds_no_formula(tmp_path: Path) -> None:
    """Formulas in cells, in names of columns and in classes; numbers below nought."""
    inputs = pa.record_batch(
        [pa.array([formula, "plain"]) for formula in FORMULAS] + [pa.array([-1.5, 2.0])], names=[*FORMULAS, "number"]
    )
    for formula in FORMULAS:
        found = Predictions(
            labels=(formula, "plain"), probabilities=np.array([[0.9, 0.1], [0.2, 0.8]]), winners=np.array([0, 1])
        )
        target = tmp_path / "scored.csv"
        with PredictionFile(target, "csv", probabilities=True) as file:
            file.write(inputs, found)
        written = cells(target.read_bytes().decode())
        assert [cell for cell in written if dangerous(cell)] == [], formula
        assert "-1.5" in written


def test_the_predictions_of_ml_service_as_csv_hold_no_formula() -> None:
    for formula in (*FORMULAS, "-1"):
        found = Predictions(labels=(formula, "plain"), winners=np.array([0, 1]))
        written = cells(write_table("csv", found, probabilities=False).decode())
        assert [cell for cell in written if dangerous(cell)] == [], formula
        assert formula != "-1" or "-1" in written
