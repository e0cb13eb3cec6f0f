"""The OpenAPI documents of both services, as their own commands print them."""

import json
import subprocess
import sys


def api_server_document() -> str:
    return _document("mill_api")


def ml_service_document() -> str:
    return _document("mill_serving")


def _document(module: str) -> str:
    """In a process of its own: building an application must leave nothing behind in this one."""
    printed = subprocess.run([sys.executable, "-m", module, "openapi"], check=True, capture_output=True)
    return json.dumps(json.loads(printed.stdout), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
