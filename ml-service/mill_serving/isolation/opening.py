"""Opens a package so that a stranger's numbers are never loaded into this process. `PackageFolder` and `find_shared` use it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mill_pack import Engine, FloatArray, Manifest, Package, load_here, open_package
from mill_pack.engines import Shape

Elsewhere = Callable[[Manifest, Shape], Engine]


def open_here_or_apart(path: Path, elsewhere: Elsewhere, *, mapped: bool = False) -> Package:
    """As `open_package`; of a model from outside `elsewhere` gives what stands for its engine, and golden rows are not replayed."""

    def load(manifest: Manifest, entries: Mapping[str, memoryview], shape: Shape) -> Engine:
        return elsewhere(manifest, shape) if manifest.is_from_outside else load_here(manifest, entries, shape)

    package = open_package(path, mapped=mapped, replay_golden=False, load=load)
    if not package.manifest.is_from_outside:
        package.replay_golden()
    return package


class Unloaded:
    """Stands for an engine nobody will ask."""

    nbytes = 0

    def outputs(self, matrix: FloatArray) -> FloatArray:
        raise NotImplementedError(len(matrix))

    def outputs_one(self, vector: FloatArray) -> list[float]:
        raise NotImplementedError(len(vector))
