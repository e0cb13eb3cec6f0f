"""Ready means ready: a replica says so when it can serve and not before, and a version that cannot serve replaces none that can."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mill_pack.archive import archive_bytes, read_archive

WORKSPACE = UUID("019a0000-0000-7000-8000-000000000001")
DEMO = Path(__file__).parents[2] / "shared-models"


def ready(replica: Any) -> tuple[int, int]:
    """As orchestrators ask, and as V2 clients do."""
    return tuple(replica.http.get(path).status_code for path in ("/health/ready", "/v2/health/ready"))  # pyright: ignore[reportReturnType]


def test_a_replica_without_any_model_is_not_ready(start: Any) -> None:
    with start(store=False) as replica:
        assert ready(replica) == (503, 503)
        assert replica.predict("anything").status_code in {401, 404, 503}
        assert replica.http.get("/health/live").status_code == 200


def test_a_replica_whose_store_is_away_at_its_first_start_is_not_ready_until_it_answers(
    control: Any, build: Any, start: Any, reach: Any, tmp_path: Path
) -> None:
    key = control.api_key(WORKSPACE)
    control.routes = [control.route(build("income"), WORKSPACE)]
    control.publish()
    (tmp_path / "objects").rename(tmp_path / "away")
    (tmp_path / "objects").write_text("a file where the store's folder was")
    with start() as replica:
        assert ready(replica) == (503, 503)
        (tmp_path / "objects").unlink()
        (tmp_path / "away").rename(tmp_path / "objects")
        reach(lambda: ready(replica) == (200, 200))
        reach(lambda: replica.predict("income", key).status_code == 200)


def test_the_demo_models_make_a_replica_ready_by_themselves(launch: Any, tmp_path: Path, reach: Any) -> None:
    with launch(tmp_path, store=False, MILL_SERVING__SHARED_MODELS_DIR=str(DEMO)) as replica:
        reach(lambda: ready(replica) == (200, 200))


def with_other_golden_rows(path: Path) -> None:
    """A package that is whole by every hash, and whose engine does not give what its manifest says it gave."""
    entries = {name: bytes(content) for name, content in read_archive(path.read_bytes()).items()}
    manifest = json.loads(entries["manifest.json"])
    manifest["golden"]["outputs"][0] = manifest["golden"]["outputs"][0][::-1]
    entries["manifest.json"] = json.dumps(manifest).encode()
    path.write_bytes(archive_bytes(entries))


@pytest.mark.parametrize("uploaded", [False, True])
def test_a_version_that_answers_other_than_it_should_never_replaces_a_good_one(
    control: Any, build: Any, start: Any, reach: Any, uploaded: bool
) -> None:
    old = build("income", version=1)
    new = build("income", version=2, model_id=old.model_id, uploaded=uploaded)
    with_other_golden_rows(new.path)
    key = control.api_key(WORKSPACE)
    first = control.route(old, WORKSPACE)
    control.routes = [first]
    control.publish()
    with start() as replica:

        def version() -> int | None:
            answer = replica.predict("income", key)
            return answer.json()["metadata"]["version"] if answer.status_code == 200 else None

        assert reach(version) == 1
        broken = control.route(new, WORKSPACE, previous_version_id=old.version_id)
        control.routes = [broken, first.model_copy(update={"is_default": False})]
        control.publish()
        reach(lambda: replica.metric("model_load_failures_total") >= 2)
        assert version() == 1
        assert ready(replica) == (200, 200)
        refused = replica.http.post(
            "/predict/income@2",
            json={"input_data": {"age": 40.0, "hours": 38.0, "city": "Oslo"}},
            headers={"x-api-key": key},
        )
        assert refused.status_code == 503
        assert "golden rows differently" in refused.json()["detail"]
