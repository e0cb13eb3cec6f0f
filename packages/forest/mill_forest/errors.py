"""Why a forest could not be read; `mill_pack` falls back to another engine or refuses the package."""


class ForestError(Exception):
    """Base of everything this package raises on purpose."""


class InvalidForest(ForestError):  # noqa: N818 - errors are named as sentences here
    """The bytes or arrays do not describe a forest: damaged, truncated or hostile. Says what is wrong."""


class UnsupportedForest(ForestError):  # noqa: N818 - as above
    """A sound model of a kind this engine does not reproduce exactly. Says which."""
