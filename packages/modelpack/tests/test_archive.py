"""The file itself: any tool reads it, one changed byte anywhere is found, and no trick of the format gets through."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from mill_pack import InvalidPackage, open_package, package_of
from mill_pack.archive import archive_bytes, read_archive, write_atomically

ENTRIES = {"manifest.json": b'{"a": 1}', "linear.f64": bytes(range(256))}


def test_any_zip_tool_reads_it(package_file: Path) -> None:
    with zipfile.ZipFile(package_file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.json", "linear.f64"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_entries_come_back_as_they_were() -> None:
    assert {name: bytes(content) for name, content in read_archive(archive_bytes(ENTRIES)).items()} == ENTRIES


def test_one_changed_bit_anywhere_is_found() -> None:
    data = archive_bytes(ENTRIES)
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises(InvalidPackage):
                read_archive(bytes(changed))


def test_a_changed_byte_of_a_real_package_is_found(package_file: Path, tmp_path: Path) -> None:
    data = package_file.read_bytes()
    step = max(1, len(data) // 500)
    for position in [*range(100), *range(100, len(data), step), *range(len(data) - 200, len(data))]:
        changed = bytearray(data)
        changed[position] ^= 0x41
        (tmp_path / "model.mill").write_bytes(changed)
        with pytest.raises(InvalidPackage):
            open_package(tmp_path / "model.mill")


@pytest.mark.parametrize("keep", [0, 1, 21, 22, 50, -1, -22, -60])
def test_a_file_cut_short_is_refused(package_file: Path, keep: int) -> None:
    with pytest.raises(InvalidPackage):
        package_of(package_file.read_bytes()[:keep])


def test_bytes_around_the_archive_are_refused(package_file: Path) -> None:
    data = package_file.read_bytes()
    for changed in (data + b"x", b"x" + data, data + data, b"\x00" * 4096):
        with pytest.raises(InvalidPackage):
            package_of(changed)


@pytest.mark.parametrize(
    "name",
    ["../manifest.json", "/etc/passwd", "a/b.txt", "a\\b.txt", "A.TXT", "manifest", ".hidden", "a..b", "x" * 200],
)
def test_names_with_paths_or_surprises_are_neither_written_nor_read(name: str) -> None:
    with pytest.raises(InvalidPackage):
        archive_bytes({name: b""})
    with pytest.raises(InvalidPackage):
        read_archive(made_by_zipfile({name: b""}))


def made_by_zipfile(entries: dict[str, bytes], **options: Any) -> bytes:
    """As close to ours as Python's own module gets."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def test_only_our_own_writing_is_read() -> None:
    with pytest.raises(InvalidPackage):
        read_archive(made_by_zipfile(ENTRIES))
    with pytest.raises(InvalidPackage):
        read_archive(made_by_zipfile(ENTRIES, compression=zipfile.ZIP_DEFLATED))


def test_a_comment_an_overlap_and_a_second_copy_are_refused() -> None:
    data = archive_bytes(ENTRIES)
    with pytest.raises(InvalidPackage):
        read_archive(data[:-2] + struct.pack("<H", 5) + b"hello")
    one = archive_bytes({"manifest.json": b"1"})
    with pytest.raises(InvalidPackage):
        read_archive(_with_directory_twice(one))


def _with_directory_twice(data: bytes) -> bytes:
    """Two directory entries for one local entry: the overlap of a zip bomb."""
    (_, _, _, _, _, size, offset, _) = struct.unpack("<IHHHHIIH", data[-22:])
    directory = data[offset : offset + size]
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, 2 * size, offset, 0)
    return data[:offset] + directory + directory + end


def test_the_wrong_files_are_refused(package_file: Path) -> None:
    entries = {name: bytes(content) for name, content in read_archive(package_file.read_bytes()).items()}
    for wrong in (
        {"manifest.json": entries["manifest.json"]},
        entries | {"extra.bin": b"x"},
        {"linear.f64": entries["linear.f64"], "manifest.json": entries["manifest.json"]},
        entries | {"linear.f64": entries["linear.f64"] + b"\x00" * 8},
        entries | {"linear.f64": entries["linear.f64"][:-1] + b"\x01"},
        {"manifest.json": entries["manifest.json"], "other.f64": entries["linear.f64"]},
    ):
        with pytest.raises(InvalidPackage):
            package_of(archive_bytes(wrong))


@pytest.mark.parametrize(
    "change",
    [
        (b'"format": 1', b'"format": 2'),
        (b'"kind": "linear"', b'"kind": "pickle"'),
        (b'"task": "classification"', b'"task": "regression"'),
        (b'"name": "income"', b'"nam_": "income"'),
        (b"{", b"["),
    ],
)
def test_a_manifest_that_is_not_of_format_1_is_refused(package_file: Path, change: tuple[bytes, bytes]) -> None:
    entries = {name: bytes(content) for name, content in read_archive(package_file.read_bytes()).items()}
    text = entries["manifest.json"].replace(*change, 1)
    assert text != entries["manifest.json"]
    with pytest.raises(InvalidPackage):
        package_of(archive_bytes(entries | {"manifest.json": text}))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "model.mill"
    write_atomically(target, b"old")
    target_is_a_folder = tmp_path / "folder"
    (target_is_a_folder / "inside").mkdir(parents=True)
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        write_atomically(target_is_a_folder, b"new")
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "model.mill"]


def test_a_missing_file_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match="cannot be read"):
        open_package(tmp_path / "nothing.mill")
