"""What is refused about an Idempotency-Key, and the answer that is given a second time."""

from mill_kit.problems import Conflict, Invalid


class InvalidIdempotencyKey(Invalid):
    slug = "invalid-idempotency-key"
    title = "The Idempotency-Key cannot be used"


class IdempotencyKeyReused(Invalid):
    slug = "idempotency-key-reused"
    title = "The Idempotency-Key belongs to another request"


class RequestInFlight(Conflict):
    slug = "request-in-flight"
    title = "The same request is being worked on"


class AnswerLost(Conflict):
    """The key that seals answers has changed since."""

    slug = "answer-lost"
    title = "This request was carried out, but its answer cannot be given again"


class Replay(Exception):  # noqa: N818 - it ends the request early, and well
    """The request was carried out before: this is its answer. `app.py` sends it."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        super().__init__(status)
