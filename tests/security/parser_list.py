"""Where every parser of outside bytes in this tree is tried.

`TRIED_HERE` says by which readers of `parsers` a module's parsers are reached, `TRIED_ELSEWHERE` which test damages their input, and
`NOT_OUTSIDE` why a module that decodes something needs neither. `test_fuzz_parsers` compares the three with the tree: whoever adds a
module that decodes something is asked to say which it is.
"""

from collections.abc import Sequence

TRIED_HERE: dict[str, Sequence[str]] = {
    "api-server/mill_api/access/tokens.py": ("an access token",),
    "api-server/mill_api/db/pages.py": ("a page's cursor",),
    "api-server/mill_api/deployments/rollout.py": ("a replica's report",),
    "api-server/mill_api/models/upload_form.py": ("the signature of an upload",),
    "api-server/mill_api/once/service.py": ("an Idempotency-Key",),
    "api-server/mill_api/usage/predictions.py": ("a tally",),
    "api-server/mill_api/worker/child/process.py": ("the trainer's report",),
    "ml-service/mill_serving/access.py": ("an access token at ml-service",),
    "ml-service/mill_serving/colleagues.py": ("an order among workers",),
    "ml-service/mill_serving/deadline.py": ("a deadline",),
    "ml-service/mill_serving/doors/doorway.py": ("a media type", "a gzip body"),
    "ml-service/mill_serving/doors/encodings.py": ("a gzip body", "a deflated body"),
    "ml-service/mill_serving/doors/explain.py": ("a row to explain",),
    "ml-service/mill_serving/doors/http.py": ("headers",),
    "ml-service/mill_serving/doors/mlflow.py": ("MLflow's rows", "MLflow's columns and data"),
    "ml-service/mill_serving/doors/model.py": ("rows",),
    "ml-service/mill_serving/doors/predict.py": ("a row", "a gzip body"),
    "ml-service/mill_serving/doors/scoring_blocks.py": ("MLflow's rows, natively",),
    "ml-service/mill_serving/doors/tables/arrow.py": ("an Arrow stream", "Parquet"),
    "ml-service/mill_serving/doors/tables/forms.py": ("Parquet", "CSV", "NDJSON"),
    "ml-service/mill_serving/doors/tables/messages.py": ("an Arrow stream",),
    "ml-service/mill_serving/doors/tables/ndjson.py": ("NDJSON",),
    "ml-service/mill_serving/doors/tables/separated.py": ("CSV",),
    "ml-service/mill_serving/doors/v2/framing.py": ("a V2 request", "a V2 request with tensors as bytes"),
    "ml-service/mill_serving/doors/v2/grpc/messages.py": ("a gRPC request", "a gRPC request of raw tensors"),
    "ml-service/mill_serving/doors/v2/rest.py": ("an address of V2", "a V2 request"),
    "ml-service/mill_serving/doors/v2/skimming.py": ("a V2 request", "a V2 request, the quick way"),
    "ml-service/mill_serving/doors/v2/tensors.py": ("texts in a tensor", "a V2 request with tensors as bytes"),
    "ml-service/mill_serving/doors/wire.py": ("a row", "rows"),
    "ml-service/mill_serving/isolation/engine.py": (
        "predictions of a model's process",
        "contributions of a model's process",
    ),
    "ml-service/mill_serving/shared_answers.py": ("an answer in Redis",),
    "ml-service/mill_serving/single.py": ("a row, the short way",),
    "ml-service/mill_serving/snapshot/document.py": ("a snapshot",),
    "ml-service/mill_serving/tally.py": ("who has used up the day",),
    "packages/forest/mill_forest/fileformat.py": ("a forest",),
    "packages/forest/mill_forest/protobuf.py": ("protobuf",),
    "packages/forest/mill_forest/ubjson.py": ("UBJSON",),
    "packages/kit/mill_kit/confinement/frames.py": ("a frame",),
    "packages/kit/mill_kit/http/addresses.py": ("X-Forwarded-For",),
    "packages/kit/mill_kit/signing.py": ("a snapshot",),
    "packages/kit/mill_kit/trace.py": ("traceparent",),
    "packages/modelpack/mill_pack/encoding/blocks.py": ("rows, natively", "a row, the short way"),
    "packages/modelpack/mill_pack/engines/linear.py": ("the arrays of a linear model",),
    "packages/modelpack/mill_pack/engines/mlp.py": ("the arrays of a linear model",),
    "packages/modelpack/mill_pack/engines/tensors.py": ("the arrays of a linear model",),
    "packages/modelpack/mill_pack/expressions/parser.py": ("an expression",),
    "packages/modelpack/mill_pack/outside/identify.py": ("the kind of a model file",),
    "packages/modelpack/mill_pack/package.py": ("a row, the short way",),
    "packages/sdk/modelmill/_events.py": ("a stream of events",),
    "trainer/mill_trainer/adopt/service.py": ("what the sandbox found",),
}

_MUTANTS = "tests/security/test_a11_tree_indices.py"
_TABLES = "tests/security/test_a17_bombs.py"
_PACKAGES = "tests/security/test_fuzz_parsers.py::test_a_damaged_package_is_refused"
TRIED_ELSEWHERE: dict[str, str] = {
    "api-server/mill_api/storage/multipart.py": "tests/security/test_a16_multipart.py",
    "ml-service/mill_serving/connection.py": "ml-service/tests/load/test_connection.py",
    "packages/forest/mill_forest/read_xgboost.py": _MUTANTS,
    "packages/modelpack/mill_pack/outside/skops.py": _MUTANTS,
    "packages/modelpack/mill_pack/outside/skops_archive.py": "tests/security/test_a09_safe_mode.py",
    "packages/modelpack/mill_pack/archive.py": _PACKAGES,
    "packages/modelpack/mill_pack/packing.py": _PACKAGES,
    "packages/modelpack/mill_pack/encoding/encoder.py": _PACKAGES,
    "packages/modelpack/mill_pack/engines/skops.py": "packages/modelpack/tests/engines",
    "packages/modelpack/mill_pack/engines/xgboost.py": "packages/modelpack/tests/engines",
    "trainer/mill_trainer/profile/csv_scan.py": _TABLES,
    "trainer/mill_trainer/profile/csv_strict.py": _TABLES,
    "trainer/mill_trainer/profile/header.py": _TABLES,
    "trainer/mill_trainer/profile/parquet_table.py": _TABLES,
    "trainer/mill_trainer/profile/service.py": _TABLES,
    "trainer/mill_trainer/profile/source.py": _TABLES,
    "trainer/mill_trainer/parquet_files.py": _TABLES,
}

_TRAINER = "a file the trainer wrote for the worker that started it, checked as a contract"
_OPERATOR = "a setting of the operator, refused at the start"
_USER = "a file or an argument on the user's own machine"
NOT_OUTSIDE: dict[str, str] = {
    "api-server/mill_api/access/password_rules.py": "a list that is part of the product",
    "api-server/mill_api/datasets/handlers.py": _TRAINER,
    "api-server/mill_api/datasets/service.py": _TRAINER,
    "api-server/mill_api/deployments/handlers.py": _TRAINER,
    "api-server/mill_api/models/adoption.py": _TRAINER,
    "api-server/mill_api/models/handlers.py": _TRAINER,
    "api-server/mill_api/settings.py": _OPERATOR,
    "ml-service/mill_serving/cells.py": "counts the workers of one replica leave each other in a private folder",
    "ml-service/mill_serving/isolation/child.py": "matrices of the service that started the process",
    "ml-service/mill_serving/journal.py": "records of the service's own, read back by their owner alone",
    "packages/contracts/mill_contracts/algorithms.py": "a file that is part of the product",
    "packages/forest/mill_forest/read_sklearn.py": "the function of that name picks a reader, and decodes nothing",
    "packages/kit/mill_kit/store/open.py": _OPERATOR,
    "packages/kit/mill_kit/store/s3.py": "addresses the store's own client made",
    "packages/kit/mill_kit/testing/collector.py": "of tests alone",
    "packages/local/mill_local/care/backup.py": _USER,
    "packages/local/mill_local/care/database.py": "what PostgreSQL says of itself",
    "packages/local/mill_local/care/erase.py": "what PostgreSQL says of itself",
    "packages/local/mill_local/home.py": "the state of the user's own stack",
    "packages/sdk/modelmill/cli/_models.py": _USER,
    "packages/sdk/modelmill/cli/_predict.py": _USER,
    "packages/sdk/modelmill/cli/_session.py": _USER,
    "trainer/mill_trainer/catalogue/booster_parameters.py": "what a library says of its own parameters",
    "trainer/mill_trainer/cli.py": "the task of the worker that started the trainer",
}
