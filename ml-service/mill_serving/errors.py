"""Every refusal of the data plane. The doors render them; the engine only raises them."""

from datetime import UTC, datetime

from mill_kit.problems import (
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)


class ModelNotFound(NotFound):
    """Unknown, or not for this caller: the two look alike."""

    slug = "model-not-found"
    title = "No such model"

    def __init__(self, name: str) -> None:
        super().__init__(f"no model {name[:200]!r} is deployed in your workspace; GET /models lists what you may call")


class CredentialsMissing(Unauthenticated):
    slug = "credentials-missing"
    title = "An API key or access token is needed"

    def __init__(self) -> None:
        super().__init__(
            "no public model has this name; models of a workspace need an API key (X-API-Key) or an access token (Bearer)",
            headers={"www-authenticate": "Bearer"},
        )


class CredentialsRefused(Unauthenticated):
    slug = "credentials-refused"
    title = "The API key or access token is not valid"

    def __init__(self, why: str) -> None:
        super().__init__(why, headers={"www-authenticate": 'Bearer error="invalid_token"'})


class MayNotPredict(Forbidden):
    slug = "scope-missing"
    title = "This key may not predict"

    def __init__(self) -> None:
        super().__init__("this API key lacks the scope 'predict'; make a key that has it")


class InvalidRequest(Invalid):
    slug = "invalid-request"
    title = "The request body is not valid"


class MethodNotAllowed(Problem):
    status = 405
    slug = "method-not-allowed"
    title = "This address answers other methods"

    def __init__(self, *allowed: str) -> None:
        methods = ", ".join(allowed or ("POST",))
        super().__init__(f"ask with {methods}", headers={"allow": methods})


class NoSuchAddress(NotFound):
    slug = "no-such-route"
    title = "There is nothing at this address"


class MalformedTensor(Problem):
    """The request breaks the Open Inference Protocol itself: its JSON, its header, a shape or a length."""

    status = 400
    slug = "malformed-tensor"
    title = "The inference request is malformed"


class UnsupportedMediaType(Problem):
    status = 415
    slug = "unsupported-media-type"
    title = "Bodies of this type are not read here"

    def __init__(self, given: str, known: tuple[str, ...]) -> None:
        super().__init__(f"{given[:100]!r} is not read here; send {', '.join(known)}")


class UnsupportedEncoding(Problem):
    status = 415
    slug = "unsupported-encoding"
    title = "Bodies packed like this are not read here"

    def __init__(self, given: str) -> None:
        super().__init__(
            f"the Content-Encoding {given[:100]!r} is not known; send gzip, deflate or nothing",
            headers={"accept-encoding": "gzip, deflate"},
        )


class NotAcceptable(Problem):
    status = 406
    slug = "not-acceptable"
    title = "Answers of this type are not given here"

    def __init__(self, given: str, known: tuple[str, ...]) -> None:
        super().__init__(f"{given[:100]!r} is not given here; accept {', '.join(known)}")


class MayNotManage(Forbidden):
    slug = "may-not-manage"
    title = "Only those who may deploy a model may load or unload it"

    def __init__(self) -> None:
        super().__init__(
            "loading and unloading takes the role data_scientist or admin in the model's workspace, or a key with the scope 'write'"
        )


class BodyTooLarge(TooLarge):
    slug = "body-too-large"
    title = "The request body is too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"a body may hold {limit:,} bytes; send fewer rows at a time, or start a batch prediction job")


class BatchTooLarge(TooLarge):
    slug = "batch-too-large"
    title = "Too many rows in one request"

    def __init__(self, rows: int, limit: int) -> None:
        super().__init__(f"{rows:,} rows; one request may hold {limit:,}: split it, or start a batch prediction job")


class Overloaded(Unavailable):
    slug = "overloaded"
    title = "Too many predictions at once"

    def __init__(self, retry_seconds: int = 1) -> None:
        super().__init__(
            "as many requests run and wait as are allowed; retry soon",
            headers={"retry-after": str(retry_seconds)},
        )


class TooManyForModel(Problem):
    status = 429
    slug = "too-many-for-model"
    title = "Too many predictions of one model at once"

    def __init__(self, retry_seconds: int = 1) -> None:
        super().__init__(
            "as many requests for this model run and wait as are allowed; retry soon",
            headers={"retry-after": str(retry_seconds)},
        )


class JournalUnavailable(Unavailable):
    slug = "journal-unavailable"
    title = "The journal of predictions cannot be read now"

    def __init__(self) -> None:
        super().__init__("it is kept in Redis, which is away or not configured", headers={"retry-after": "2"})


class RecordNotFound(NotFound):
    slug = "no-such-record"
    title = "Nothing is recorded of this transaction"

    def __init__(self, transaction: str) -> None:
        super().__init__(
            f"there is no record of {transaction[:100]!r} in your workspace: one is written a moment after a prediction that was "
            "sampled or profiled, and forgotten after MILL_JOURNAL__RECORD_SECONDS"
        )


class MayNotProfile(Forbidden):
    slug = "may-not-profile"
    title = "This request may not be profiled"


class ProfilerBusy(Unavailable):
    slug = "profiler-busy"
    title = "Another request is being profiled"

    def __init__(self) -> None:
        super().__init__(
            "one request at a time is profiled; ask again, or without X-Profile", headers={"retry-after": "1"}
        )


class NoDefaultModel(NotFound):
    slug = "no-default-model"
    title = "No model is named, and none is the default"

    def __init__(self) -> None:
        super().__init__("call /predict/{model}; an operator may set MILL_SERVING__DEFAULT_MODEL")


class NoProbabilities(Invalid):
    slug = "no-probabilities"
    title = "This model predicts numbers"

    def __init__(self) -> None:
        super().__init__("a regression has no classes and so no probabilities; call /predict/{model}")


class DeadlineMissed(Unavailable):
    slug = "deadline-missed"
    title = "The answer would come too late"

    def __init__(self, retry_seconds: int = 1) -> None:
        super().__init__(
            "its turn would not come in time (X-Request-Deadline-Ms, or the longest wait here); retry later or allow more time",
            headers={"retry-after": str(retry_seconds)},
        )


class SnapshotTooOld(Unavailable):
    slug = "snapshot-too-old"
    title = "The routing snapshot is too old"

    def __init__(self, hours: float) -> None:
        super().__init__(
            f"neither the object store nor Redis has confirmed the routes for {hours:g} hours; workspace models are refused "
            "until one of them answers (public demo models still work)",
            headers={"retry-after": "5"},
        )


class NoSnapshot(Unavailable):
    slug = "no-snapshot"
    title = "No routing snapshot has been received yet"

    def __init__(self) -> None:
        super().__init__(
            "credentials cannot be checked until the first routing snapshot arrives", headers={"retry-after": "2"}
        )


class ModelUnavailable(Unavailable):
    """The package cannot be fetched or opened now; the next call tries again."""

    slug = "model-unavailable"
    title = "The model cannot be loaded right now"

    def __init__(self, why: str) -> None:
        super().__init__(f"the model's package cannot be loaded: {why}", headers={"retry-after": "2"})


class ModelCrashed(Unavailable):
    """Of a model that came from outside: its own process ended under this call, or did not answer. Nobody else's did."""

    slug = "model-crashed"
    title = "The model crashed"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the process of this uploaded model failed: {why}. It is started anew; ask again, and upload the model again if "
            "that does not help",
            headers={"retry-after": "1"},
        )


class ModelSuspended(Unavailable):
    """Its process crashed too often (`MILL_SERVING__ISOLATED_CRASHES`): nothing is started until somebody acts."""

    slug = "model-suspended"
    title = "The model is suspended here"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"this uploaded model is suspended: {why}. Deploy it again to give it another try (POST /api/v1/models/{{id}}/deploy, "
            "or load it over V2), or upload a model that works",
            headers={"retry-after": "5"},
        )


class InvalidSnapshot(Problem):
    slug = "invalid-snapshot"
    title = "The routing snapshot is not valid"


class DayUsedUp(TooManyRequests):
    """`Retry-After` says when the day (UTC) ends."""

    slug = "predictions-used-up"
    title = "The workspace has used up its predictions of the day"

    def __init__(self) -> None:
        now = datetime.now(UTC)
        left = 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
        super().__init__("Ask the operator for more, or wait until tomorrow (UTC)", headers={"Retry-After": str(left)})
