"""What V2 clients ask about servers and models, as plain documents: REST sends them as JSON, gRPC as messages."""

from typing import Any
from uuid import UUID

from mill_serving.doors.v2.inference import TensorSpec, input_specs, output_specs
from mill_serving.engine import Engine
from mill_serving.packages import LoadedModel
from mill_serving.targets import Target

PLATFORM = "modelmill"
EXTENSIONS = ["model_repository", "model_configuration", "statistics", "binary_tensor_data"]
_NANOSECONDS = 1e9

Document = dict[str, Any]


def server(version: str) -> Document:
    return {"name": PLATFORM, "version": version, "extensions": EXTENSIONS}


def metadata(target: Target, loaded: LoadedModel, versions: list[str]) -> Document:
    return {
        "name": target.name,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [_described(spec) for spec in input_specs(loaded.package.signature)],
        "outputs": [_described(spec) for spec in output_specs(loaded.package)],
    }


def config(target: Target, loaded: LoadedModel) -> Document:
    return {
        "name": target.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": 0,
        "version_policy": {"specific": {"versions": [target.version]}},
        "input": [_configured(spec) for spec in input_specs(loaded.package.signature)],
        "output": [_configured(spec) for spec in output_specs(loaded.package)],
    }


def statistics(engine: Engine, targets: list[Target]) -> Document:
    """Counts since this replica started; a model of several versions shares one entry of counts."""
    views = engine.census.take().models
    found: list[Document] = []
    for target in targets:
        view = views.get(target.label)
        if view is None:
            found.append(_counted(target, rows=0, success=0, failed=0, seconds=0.0))
        else:
            counts = view.counts
            seconds = counts.histogram.total
            failed = counts.invalid + counts.failed
            found.append(_counted(target, rows=counts.rows, success=counts.success, failed=failed, seconds=seconds))
    return {"model_stats": found}


def index(engine: Engine, targets: list[Target], *, ready_only: bool) -> list[Document]:
    """A model that is not in memory can still serve: its next call loads it."""
    found: list[Document] = []
    for target in targets:
        if ready_only and not is_ready(engine, target):
            continue
        state, reason = _state(engine, target)
        found.append({"name": target.name, "version": str(target.version), "state": state, "reason": reason})
    return found


def _state(engine: Engine, target: Target) -> tuple[str, str]:
    suspended = engine.suspended(target)
    if suspended is not None:
        return "UNAVAILABLE", f"suspended: {suspended}"
    if not is_ready(engine, target):
        return "LOADING", _why(engine, target)
    return ("READY", "") if engine.registry.holds(target) else ("UNAVAILABLE", "not in memory; the next call loads it")


def is_ready(engine: Engine, target: Target) -> bool:
    """Whether it was loaded once on this replica and repeated its golden rows, and has not been suspended since."""
    was_loaded = target.is_shared or engine.rollout.is_ready(UUID(target.version_id))
    return was_loaded and engine.suspended(target) is None


def versions(engine: Engine, target: Target, secret: str | None) -> list[str]:
    """All deployed versions of the model this caller may see."""
    found = {other.version for other in engine.visible(secret) if other.model_id == target.model_id}
    return [str(version) for version in sorted(found | {target.version})]


def _why(engine: Engine, target: Target) -> str:
    for version in engine.rollout.readiness():
        if str(version.model_version_id) == target.version_id and version.reason:
            return version.reason
    return "being loaded"


def _described(spec: TensorSpec) -> Document:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _configured(spec: TensorSpec) -> Document:
    data_type = "TYPE_STRING" if spec.datatype == "BYTES" else f"TYPE_{spec.datatype}"
    return {"name": spec.name, "data_type": data_type, "dims": list(spec.shape)}


def _counted(target: Target, *, rows: int, success: int, failed: int, seconds: float) -> Document:
    spent = {"count": success, "ns": int(seconds * _NANOSECONDS)}
    nothing = {"count": 0, "ns": 0}
    return {
        "name": target.name,
        "version": str(target.version),
        "last_inference": 0,
        "inference_count": rows,
        "execution_count": success,
        "inference_stats": {
            "success": spent,
            "fail": {"count": failed, "ns": 0},
            "queue": nothing,
            "compute_input": nothing,
            "compute_infer": spent,
            "compute_output": nothing,
        },
        "batch_stats": [],
    }
