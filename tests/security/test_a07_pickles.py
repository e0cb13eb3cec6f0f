"""A7: a pickle is told by its content, whatever it is called and however it is wrapped, and never loaded."""

import pytest
from httpx import AsyncClient
from mill_contracts.adoption import ModelFramework

from tests.security.payloads import disguises, pickled
from tests.security.rooms import Rooms


@pytest.mark.parametrize("framework", [ModelFramework.SKLEARN, ModelFramework.ONNX])
def test_every_disguise_is_refused_as_code_with_words_that_help(rooms: Rooms, framework: ModelFramework) -> None:
    for name, data in disguises(rooms.canary):
        said = rooms.refusal(framework, data)
        assert (said["slug"], "skops.io.dump" in said["detail"]) == ("code-in-model-file", True), name


def test_code_glued_to_a_format_is_refused(rooms: Rooms) -> None:
    code = pickled(rooms.canary, 4)
    for start in (
        b"{",
        b"tree\n",
        b"\x08\x07",
        b"PK\x03\x04",
        b"CBM1",
        b"binf",
        b"\x89HDF",
        b"ZF0x1",
        b"\x28\xb5\x2f\xfd",
        b"",
    ):
        rooms.refusal(ModelFramework.SKLEARN, start + code)


def test_the_canaries_would_sing(rooms: Rooms) -> None:
    """The watch itself works: a knock at the door is heard."""
    import socket

    assert not rooms.canary.sang
    with socket.create_connection(("127.0.0.1", rooms.canary.port), 5):
        assert rooms.canary.sang


async def test_no_ending_of_a_name_is_looked_at(client: AsyncClient) -> None:
    """The door itself reads nothing: it takes the bytes into quarantine or refuses the form, whatever the file is called."""
    for name in ("m.pkl", "m.json", "m.onnx", "m.skops", "m", "../../m", "m.joblib"):
        answer = await client.post("/api/v1/models/upload", files={"file": (name, b"\x80\x04.")})
        assert answer.status_code == 401
