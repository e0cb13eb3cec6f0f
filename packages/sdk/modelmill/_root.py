"""The root of the client's errors, apart from the tree in `_errors` so that the views those hold can raise it too."""


class ModelmillError(Exception):
    """The root of this package's errors."""


class UnexpectedAnswer(ModelmillError):  # noqa: N818 - the names say what happened
    """A server answered with a document that is not of this API."""
