"""The demo packages that ship with the product: read once at the start, callable by anybody."""

from pathlib import Path

from mill_kit.logs import get_logger
from mill_kit.problems import Problem

from mill_serving.files import sha256_of
from mill_serving.isolation.opening import Unloaded, open_here_or_apart
from mill_serving.targets import Target


def find_shared(folder: Path | None) -> tuple[Target, ...]:
    """Every `*.mill` that opens; one that does not is logged and left out. Of two with one name the first by file name counts."""
    if folder is None:
        return ()
    found: dict[str, Target] = {}
    for path in sorted(folder.glob("*.mill")):
        try:
            target = _target(path.absolute())
        except (Problem, OSError) as error:
            get_logger().warning("shared_model_refused", file=path.name, reason=str(error))
            continue
        found.setdefault(target.name, target)
    return tuple(found.values())


def _target(path: Path) -> Target:
    manifest = open_here_or_apart(path, lambda _manifest, _shape: Unloaded()).manifest
    return Target(
        model_id=manifest.model_id,
        version_id=manifest.model_version_id,
        name=manifest.name,
        version=manifest.version,
        sha256=sha256_of(path),
        size=path.stat().st_size,
        public=True,
        path=path,
    )
