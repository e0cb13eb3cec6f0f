"""A manifest with the right digests may still lie: it opens as a sound model or not at all."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mill_kit.problems import Problem
from mill_pack import GoldenRowsDiffer, InvalidPackage, package_of
from mill_pack.archive import archive_bytes, read_archive


@pytest.fixture
def repack(package_file: Path) -> Callable[[Callable[[Any], None]], bytes]:
    """The package with its manifest changed."""

    def repacked(change: Callable[[Any], None]) -> bytes:
        entries = {name: bytes(content) for name, content in read_archive(package_file.read_bytes()).items()}
        manifest = json.loads(entries["manifest.json"])
        change(manifest)
        return archive_bytes(entries | {"manifest.json": json.dumps(manifest).encode()})

    return repacked


def set_at(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


def drop_output(document: Any) -> None:
    document["encoder"]["outputs"].pop()


def two_features_of_one_name(document: Any) -> None:
    for part in ("signature", "encoder"):
        document[part]["features"].append(document[part]["features"][0])


@pytest.mark.parametrize(
    "change",
    [
        set_at("encoder", "derived", 0, "expression", value="__import__('os').system('true')"),
        set_at("encoder", "derived", 0, "expression", value="job + 1"),
        set_at("encoder", "derived", 0, "expression", value="age" + " + age" * 90),
        set_at("encoder", "outputs", 0, "source", value="nowhere"),
        set_at("encoder", "outputs", 0, "scale", value=0),
        set_at("encoder", "outputs", 0, "fill", value="NaN"),
        set_at("encoder", "outputs", 0, "part", value="century"),
        set_at("encoder", "outputs", value=[]),
        set_at("encoder", "features", value=[]),
        set_at("encoder", "features", 0, "kind", value="string"),
        set_at("signature", "classes", value=["no", "yes", "maybe"]),
        set_at("signature", "classes", value=["yes", "yes"]),
        set_at("signature", "target", value=""),
        set_at("engine", "kind", value="skops"),
        set_at("engine", "kind", value="mill_pack.demo"),
        set_at("engine", "files", 0, "name", value="../linear.f64"),
        set_at("engine", "files", 0, "size", value=-1),
        set_at("engine", "files", 0, "sha256", value="0" * 64),
        set_at("golden", "outputs", value=[[0.5, 0.5]]),
        set_at("golden", "tolerance", value=-1),
        set_at("format", value="1"),
        set_at("surprise", value=True),
        drop_output,
        two_features_of_one_name,
    ],
)
def test_a_lie_is_refused(repack: Any, change: Callable[[Any], None]) -> None:
    with pytest.raises(InvalidPackage):
        package_of(repack(change))


def test_golden_rows_that_do_not_fit_are_refused(repack: Any) -> None:
    data = repack(set_at("golden", "rows", 0, "age", value="old"))
    with pytest.raises(GoldenRowsDiffer):
        package_of(data).replay_golden()


def test_any_change_of_the_manifest_is_refused_in_words_or_harmless(repack: Any) -> None:
    """Random surgery: whatever happens is one of our own problems, never a stray exception."""
    chance = random.Random(4)  # noqa: S311 - a repeatable test, not a secret
    values: list[Any] = [None, 0, -1, 1e308, "", "x" * 300, [], {}, True, ["a"], {"a": 1}]

    def surgery(document: Any) -> None:
        while True:
            key: Any = chance.choice(list(document) if hasattr(document, "keys") else range(len(document)))
            inner: Any = document[key]
            is_branch = hasattr(inner, "__len__") and not isinstance(inner, str) and len(inner) > 0
            if not is_branch or chance.random() < 0.1:
                document[key] = chance.choice(values)
                return
            document = inner

    for _ in range(300):
        try:
            package_of(repack(surgery)).replay_golden()
        except Problem:
            continue
