import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from mill_kit import logs


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """`configure` is for a process of its own; here other tests come after."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.usefixtures("logging_as_it_was")
def test_every_line_is_json_with_service_and_context(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("tested", level="INFO")
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        logs.get_logger().info("happened", rows=3)
        logging.getLogger("library").warning("older %s", "style")
    logs.get_logger().debug("not shown")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["happened", "older style"]
    assert all(line["service"] == "tested" and line["request_id"] == "r-1" for line in lines)
    assert lines[0]["rows"] == 3
