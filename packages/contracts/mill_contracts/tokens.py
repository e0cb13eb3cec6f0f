"""What an access token says. Both services check it by public key; only the api-server signs (EdDSA, 15 minutes at most)."""

from enum import StrEnum

ISSUER = "modelmill"
AUDIENCE = "modelmill-api"
ACCESS_JWT_TYPE = "at+jwt"
ALGORITHM = "EdDSA"
API_KEY_PREFIX = "mm_"
LONGEST_SECONDS = 900
"""A token that claims to live longer is refused, whoever signed it."""


class Role(StrEnum):
    """A member's role in a workspace; each holds what the one before it holds."""

    USER = "user"
    DATA_SCIENTIST = "data_scientist"
    ADMIN = "admin"


class Scope(StrEnum):
    """What an API key may do."""

    PREDICT = "predict"
    READ = "read"
    WRITE = "write"
