"""A6: archives that climb out of their folder, hide links, hold a name twice, or promise more than they hold. Only skops is one."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# The changes are small lambdas over the entries of an archive.

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable

import pytest
from mill_contracts.adoption import ModelFileFormat, ModelFramework

from tests.security.good_models import good_models
from tests.security.payloads import zipped
from tests.security.rooms import Rooms
from tests.security.strings import tried

SKLEARN = ModelFramework.SKLEARN
Entries = dict[str, bytes]


@pytest.fixture(scope="module")
def good() -> Entries:
    data = next(model.data for model in good_models(ModelFileFormat.SKOPS))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def named(entries: Entries, name: str, mode: int = 0o100644, content: bytes = b"x") -> bytes:
    """The good archive with one entry more, of this name and kind."""
    result = io.BytesIO(zipped(entries))
    with zipfile.ZipFile(result, "a") as archive:
        info = zipfile.ZipInfo("placeholder")
        info.filename = info.orig_filename = name
        info.external_attr = mode << 16
        archive.writestr(info, content)
    return result.getvalue()


def test_names_that_climb_are_refused(rooms: Rooms, good: Entries) -> None:
    for name in (
        "../x.npy",
        "/etc/x.npy",
        "a/../../x.npy",
        "..\\x.npy",
        "C:\\x.npy",
        "a/1.npy",
        "1.npy/",
        "~/.ssh/x",
        *tried()[:12],
    ):
        if not name.isascii() or "\0" in name:
            continue
        assert rooms.refusal(SKLEARN, named(good, name))["slug"] == "model-file-rejected"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_folders_and_devices_are_refused(rooms: Rooms, good: Entries, kind: int) -> None:
    said = rooms.refusal(SKLEARN, named(good, "77.npy", kind | 0o777, b"/etc/passwd"))
    assert "not a file" in said["detail"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(rooms: Rooms, good: Entries) -> None:
    assert "twice" in rooms.refusal(SKLEARN, named(good, "schema.json", content=b"{}"))["detail"]


def test_a_hundred_thousand_entries_are_refused(rooms: Rooms) -> None:
    many = zipped({f"{number}.npy": b"" for number in range(100_000)})
    assert "entries" in rooms.refusal(SKLEARN, many)["detail"]


def test_a_bomb_is_refused_before_it_goes_off(rooms: Rooms, good: Entries) -> None:
    for entries in ({**good, "99.npy": bytes(2**29)}, {**good, "schema.json": b" " * 2**28}):
        rooms.refusal(SKLEARN, zipped(entries, zipfile.ZIP_DEFLATED))


def overlapping(entries: Entries) -> bytes:
    """Two names for the same bytes, as the best bombs have them."""
    data = bytearray(zipped(entries))
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        overlapping,
        lambda entries: b"prefix" + zipped(entries),
        lambda entries: zipped(entries)[:-30],
        lambda entries: zipped(entries).replace(b"schema.json", b"schemA.json", 1),
        lambda entries: zipped({name: content for name, content in entries.items() if name != "schema.json"}),
        lambda entries: zipped({"schema.json": entries["schema.json"]}),
    ],
    ids=["overlapping", "prefixed", "cut", "two names", "no schema", "no arrays"],
)
def test_archives_that_contradict_themselves_are_refused(
    rooms: Rooms, good: Entries, change: Callable[[Entries], bytes]
) -> None:
    rooms.refusal(SKLEARN, change(good))


def test_other_kinds_of_archives_are_refused(rooms: Rooms) -> None:
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w") as archive:
        link = tarfile.TarInfo("model")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert "tar" in rooms.refusal(SKLEARN, result.getvalue())["detail"]
