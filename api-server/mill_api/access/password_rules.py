"""Which passwords are refused: what everybody guesses first. Called by `Passwords` wherever somebody chooses one.

Length and a list, no composition rules (NIST SP 800-63B, OWASP ASVS 6.2): every character is welcome, spaces and emoji too.
"""

import gzip
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

SHORTEST, LONGEST = 12, 1024
_LIST = "common_passwords.txt.gz"
_SHORTEST_PERIOD = 4
_SHORTEST_NAME = 4
_PRODUCT = "modelmill"


@dataclass(frozen=True)
class PasswordRules:
    common: frozenset[str]

    @classmethod
    def load(cls) -> "PasswordRules":
        text = gzip.decompress(files("mill_api.access").joinpath(_LIST).read_bytes()).decode()
        return cls(frozenset(line for line in text.splitlines() if line and not line.startswith("#")))

    def refusal(self, password: str, names: Iterable[str] = ()) -> str | None:
        """Why this password is refused, or None. `names` are what anybody knows of its owner: username, e-mail address."""
        if not SHORTEST <= len(password) <= LONGEST:
            return f"must have {SHORTEST} to {LONGEST} characters; a few words in a row are easy to remember"
        plain = _plain(password)
        repeated = _repeated(plain)
        if plain in self.common or _core(plain) in self.common or repeated in self.common:
            return "is one of the passwords that are guessed first; take a few words in a row"
        if len(repeated) < _SHORTEST_PERIOD:
            return "repeats the same few characters; take a few words in a row"
        if any(name in plain for name in _known(names)):
            return "contains your name, your address or ours; take a few words that have nothing to do with you"
        return None


def _plain(text: str) -> str:
    """How it is compared: `Ｐassword` is `password`."""
    return unicodedata.normalize("NFKC", text).casefold()


def _core(plain: str) -> str:
    """`password` of `!!password2026`: what people hang around a word makes it no better."""
    letters = [place for place, character in enumerate(plain) if character.isalpha()]
    return plain[letters[0] : letters[-1] + 1] if letters else plain


def _repeated(plain: str) -> str:
    """`password` of `passwordpassword`."""
    period = (plain + plain).find(plain, 1)
    return plain[:period]


def _known(names: Iterable[str]) -> set[str]:
    words = {_PRODUCT}
    for name in names:
        plain = _plain(name)
        words |= {plain, plain.partition("@")[0]}
    return {word for word in words if len(word) >= _SHORTEST_NAME}
