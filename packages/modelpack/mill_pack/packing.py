"""Writing a package (the trainer, once) and opening it (ml-service, batch scoring)."""

import hashlib
import mmap
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mill_contracts.training import Cost
from pydantic import ValidationError

from mill_pack.archive import MAX_BYTES, Buffer, archive_bytes, content_offset, read_archive, write_atomically
from mill_pack.encoding import Encoder
from mill_pack.engines.base import Engine, EnginePayload, Shape
from mill_pack.engines.registry import TOLERANCES, load_engine, shape_of
from mill_pack.errors import InvalidExpression, InvalidPackage
from mill_pack.manifest import EngineDescription, FileEntry, GoldenRows, JsonValue, Manifest, ManifestDraft
from mill_pack.package import Package
from mill_pack.signature import Signature

MANIFEST = "manifest.json"
MAX_MANIFEST = 64 << 20
ALIGNMENT = 64

GoldenInputs = Sequence[Mapping[str, JsonValue]]
Entries = Mapping[str, memoryview]
EngineLoader = Callable[[Manifest, Entries, Shape], Engine]
"""From a package's manifest and payload to its engine: what `open_package` is given where an engine shall not run here."""


@dataclass(frozen=True, slots=True)
class PackageInfo:
    """The file as a whole: what the row of the model version records."""

    sha256: str
    size: int


def write_package(
    path: Path, *, draft: ManifestDraft, encoder: Encoder, payload: EnginePayload, golden_rows: GoldenInputs
) -> PackageInfo:
    """Write `path` atomically; the same arguments give the same bytes. The golden rows' outputs are the engine's own."""
    data = package_bytes(draft=draft, encoder=encoder, payload=payload, golden_rows=golden_rows)
    write_atomically(path, data)
    return PackageInfo(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def package_bytes(
    *, draft: ManifestDraft, encoder: Encoder, payload: EnginePayload, golden_rows: GoldenInputs
) -> bytes:
    manifest = _manifest(draft, encoder, payload, golden_rows)
    text = manifest.model_dump_json(indent=1).encode()
    if len(text) > MAX_MANIFEST:
        raise InvalidPackage("The manifest is too large; lower max_categories or leave out the columns of ids.")
    return archive_bytes({MANIFEST: text + b" " * _padding(len(text), payload), **payload.files})


def load_here(manifest: Manifest, entries: Entries, shape: Shape) -> Engine:
    """The engine, in this process. Raises `InvalidPackage`, `EngineMissing`."""
    return load_engine(manifest.engine.kind, entries, shape)


def open_package(
    path: Path,
    *,
    verify: bool = True,
    replay_golden: bool = True,
    mapped: bool = False,
    load: EngineLoader = load_here,
) -> Package:
    """Raises `InvalidPackage`, `GoldenRowsDiffer`, `EngineMissing`. Without `verify` file digests are taken on trust.

    `mapped`: use the file's pages in place, shared with every process that does so too. It must never be rewritten or shortened
    (removing or replacing it is fine); only a folder that nobody else writes to promises that.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise InvalidPackage("The file is too large to be a package.")
            data = _map(file.fileno()) if mapped else file.read()
    except OSError as error:
        raise InvalidPackage(f"The package cannot be read: {error.strerror}.") from error
    package = package_of(data, verify=verify, load=load)
    if replay_golden:
        package.replay_golden()
    return package


def package_of(data: Buffer, *, verify: bool = True, load: EngineLoader = load_here) -> Package:
    """The package from its bytes; golden rows are not replayed."""
    manifest, entries, manifest_bytes = _opened(data, verify=verify)
    engine = load(manifest, entries, _shape(manifest))
    try:
        return Package(manifest, engine, manifest_bytes)
    except InvalidExpression as error:
        raise InvalidPackage(f"A derived feature cannot be computed: {error.detail}") from error


def engine_of(data: Buffer) -> tuple[Engine, Shape]:
    """The engine of a package alone, from bytes whose digests somebody else has checked, and its shape."""
    manifest, entries, _ = _opened(data, verify=False)
    shape = _shape(manifest)
    return load_here(manifest, entries, shape), shape


def measure_cost(*, draft: ManifestDraft, encoder: Encoder, payload: EnginePayload, golden_rows: GoldenInputs) -> Cost:
    """What one prediction and one load of this package cost on this machine. Put it into the draft before writing."""
    data = package_bytes(draft=draft, encoder=encoder, payload=payload, golden_rows=golden_rows)
    started = time.perf_counter()
    package = package_of(data)
    load_seconds = time.perf_counter() - started
    times: list[float] = []
    for row in list(golden_rows) * 5:
        started = time.perf_counter()
        package.predict_one(row)
        times.append(time.perf_counter() - started)
    microseconds = statistics.median(times) * 1e6 if times else 0.0
    return Cost(microseconds_per_row=microseconds, package_bytes=len(data), load_seconds=load_seconds)


def _padding(length: int, payload: EnginePayload) -> int:
    """Spaces after the manifest, so that the arrays of the payload begin at a multiple of `ALIGNMENT` and can be used in place."""
    return -(content_offset(MANIFEST) + length + content_offset(next(iter(payload.files)))) % ALIGNMENT


def _manifest(draft: ManifestDraft, encoder: Encoder, payload: EnginePayload, golden_rows: GoldenInputs) -> Manifest:
    engine = load_engine(payload.kind, payload.files, shape_of(encoder.width, draft.classes))
    outputs = engine.outputs(encoder.encode_rows(golden_rows)) if golden_rows else np.zeros((0, 1))
    files = tuple(
        FileEntry(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in payload.files.items()
    )
    return Manifest(
        **{name: getattr(draft, name) for name in _COPIED},
        signature=Signature(
            features=encoder.signature_features, task=draft.task, classes=draft.classes, target=draft.target
        ),
        encoder=encoder.document,
        engine=EngineDescription(kind=payload.kind, files=files, check=draft.engine_check),
        golden=GoldenRows(
            rows=tuple(dict(row) for row in golden_rows),
            outputs=tuple(tuple(row) for row in outputs.tolist()),
            tolerance=TOLERANCES[payload.kind],
        ),
    )


_COPIED = (
    "model_id",
    "model_version_id",
    "name",
    "version",
    "task",
    "postprocessing",
    "metrics",
    "curves",
    "reference",
    "lineage",
    "cost",
)


def _map(descriptor: int) -> Buffer:
    if os.fstat(descriptor).st_size == 0:
        return b""
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)


def _read_manifest(text: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise InvalidPackage(f"The manifest is not one of format 1: {where}: {first['msg']}.") from error


def _opened(data: Buffer, *, verify: bool) -> tuple[Manifest, Entries, int]:
    """Manifest, payload, and how long the manifest is."""
    entries = read_archive(data, verify=verify)
    if next(iter(entries)) != MANIFEST or len(entries[MANIFEST]) > MAX_MANIFEST:
        raise InvalidPackage("The package does not begin with a manifest of a sane size.")
    text = bytes(entries.pop(MANIFEST))
    manifest = _read_manifest(text)
    _check_files(manifest, entries, verify=verify)
    return manifest, entries, len(text)


def _shape(manifest: Manifest) -> Shape:
    return shape_of(_width(manifest), manifest.signature.classes)


def _check_files(manifest: Manifest, entries: Mapping[str, memoryview], *, verify: bool) -> None:
    if [file.name for file in manifest.engine.files] != list(entries):
        raise InvalidPackage("The package holds other files than its manifest lists.")
    for file in manifest.engine.files:
        content = entries[file.name]
        if len(content) != file.size:
            raise InvalidPackage(f"The file {file.name!r} is not as long as the manifest says.")
        if verify and hashlib.sha256(content).hexdigest() != file.sha256:
            raise InvalidPackage(f"The file {file.name!r} is not the one the manifest describes.")


def _width(manifest: Manifest) -> int:
    return sum(output.width for output in manifest.encoder.outputs)
