"""`python -m mill_serving serve` runs a replica; `python -m mill_serving openapi` prints its OpenAPI document."""

import argparse
import json
import sys

from mill_kit import logs

from mill_serving.app import VERSION, create_app
from mill_serving.doors.documents import create_documents
from mill_serving.server import serve
from mill_serving.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mill_serving", description="The data plane of Modelmill.")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="answer predictions until told to stop")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", type=int, default=8001)
    commands.add_parser("openapi", help="print the OpenAPI document")
    chosen = parser.parse_args()
    if chosen.command == "openapi":
        sys.stdout.write(json.dumps(create_documents(VERSION).openapi(), indent=2, sort_keys=True) + "\n")
        return 0
    settings = Settings()
    logs.configure("ml-service", level=settings.log_level)
    serve(create_app(settings), chosen.host, chosen.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
