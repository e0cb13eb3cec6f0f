"""`python -m mill_api serve | migrate | setup-code | quota | openapi | worker | flower`. Each verb imports only what it needs."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["worker"]:
        from mill_api.worker.cli import main as worker  # the worker reads its own options

        return worker(given[1:])
    if given[:1] == ["quota"]:
        return _quota(given[1:])
    options = _parser().parse_args(given)
    if options.verb == "serve":
        return _serve(options.host, options.port)
    if options.verb == "migrate":
        return _migrate()
    if options.verb == "setup-code":
        return _setup_code()
    if options.verb == "flower":
        return _flower(options.host, options.port)
    return _openapi()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mill_api", description="Modelmill's control plane")
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="answer HTTP requests")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    verbs.add_parser("migrate", help="bring the database schema up to date (MILL_DATABASE__OWNER_URL)")
    verbs.add_parser("setup-code", help="print a new one-time code for the first administrator")
    verbs.add_parser("quota", help="give one workspace its own quotas (see `quota --help`)")
    verbs.add_parser("openapi", help="print the OpenAPI document")
    verbs.add_parser("worker", help="claim and run jobs (see `worker --help`)")
    flower = verbs.add_parser("flower", help="watch the workers in a browser")
    flower.add_argument("--host", default="127.0.0.1")
    flower.add_argument("--port", type=int, default=5555)
    return parser


def _serve(host: str, port: int) -> int:
    import uvicorn
    from mill_kit import logs

    from mill_api.app import create_app
    from mill_api.edge.connection import BoundedConnection
    from mill_api.settings import Settings

    settings = Settings()  # pyright: ignore[reportCallIssue] - filled from the environment
    logs.configure("api-server", level=settings.log_level)
    uvicorn.run(
        create_app(settings),
        http=BoundedConnection,
        ws="none",
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=30,
    )
    return 0


def _migrate() -> int:
    from mill_api.db.schema import migrate
    from mill_api.settings import MigrationSettings

    settings = MigrationSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    asyncio.run(migrate(settings.owner_url.get_secret_value()))
    return 0


def _setup_code() -> int:
    from mill_api.access.first_admin import print_new_code
    from mill_api.settings import Settings

    settings = Settings()  # pyright: ignore[reportCallIssue] - filled from the environment
    return asyncio.run(print_new_code(settings.database.url.get_secret_value(), settings.access))


def _quota(arguments: Sequence[str]) -> int:
    from mill_api.quotas.operator import give
    from mill_api.settings import OperatorSettings

    settings = OperatorSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    sys.stdout.write(asyncio.run(give(settings.system_url.get_secret_value(), arguments)) + "\n")
    return 0


def _openapi() -> int:
    from mill_api.app import openapi_document

    json.dump(openapi_document(), sys.stdout, indent=2, ensure_ascii=False, sort_keys=True)
    sys.stdout.write("\n")
    return 0


def _flower(host: str, port: int) -> int:
    import os

    from mill_api.settings import FlowerSettings

    settings = FlowerSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    os.environ["CELERY_BROKER_URL"] = settings.broker.url.get_secret_value()
    os.environ["FLOWER_BASIC_AUTH"] = f"admin:{settings.flower_password.get_secret_value()}"
    program = [sys.executable, "-m", "celery", "flower", f"--port={port}", f"--address={host}"]
    os.execv(program[0], program)  # noqa: S606 - our own argument list; secrets go by the environment, where `ps` shows none


if __name__ == "__main__":
    sys.exit(main())
