"""About 200 ways to say `..`: for every field that becomes, or looks as if it became, a name, a key or a path."""

from itertools import product
from urllib.parse import quote

from tests.security.evidence import sized

_TARGETS = ("etc/passwd", "canary.txt")
_STEPS = (
    "../",
    "..\\",
    "..;/",
    ".../",
    "....//",
    "..././",
    "%2e%2e/",
    "%2e%2e%2f",
    "..%2f",
    "..%5c",
    "%252e%252e%252f",
    "%25252e%25252e%25252f",
    "..%c0%af",
    "..%ef%bc%8f",
    "%uff0e%uff0e%u2215",
    "．．／",
    "‥/",
    "..∕",
    "..⁄",
    ". ./",
    "..\u200b/",
    "../\u0301",
    "a/../../",
    "./../",
    "//../",
    "\\..\\..\\",
)
_WHOLE = (
    "/etc/passwd",
    "//etc/passwd",
    "///etc/passwd",
    "\\\\server\\share\\file",
    "C:\\Windows\\win.ini",
    "C:/Windows/win.ini",
    "C:relative",
    "~/.ssh/id_rsa",
    "~root/.bashrc",
    "$HOME/.ssh/id_rsa",
    "%SYSTEMROOT%\\win.ini",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "file:/etc/passwd#fragment",
    "s3://other-bucket/key",
    "http://127.0.0.1:9/metadata",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "zip:///etc/passwd",
    "data:text/plain,hello",
    "php://filter/resource=/etc/passwd",
    "..",
    ".",
    "...",
    "/",
    "\\",
    "/..",
    "../",
    "-rf",
    "--help",
    "@/etc/passwd",
    "|cat /etc/passwd",
    "`cat /etc/passwd`",
    "$(cat /etc/passwd)",
    ";cat /etc/passwd",
    "/dev/stdin",
    "/dev/random",
    "/proc/self/environ",
    "/proc/self/fd/0",
    "/proc/self/root/etc/passwd",
    "CON",
    "NUL.csv",
    "aux.h",
    "COM1",
    "table.csv::$DATA",
    "table.csv.",
    "table.csv ",
    " table.csv",
    ".htaccess",
    ".env",
    ".git/config",
    "*",
    "?",
    "[a-z]*",
    "{a,b}",
    "table\x00.csv",
    "../\x00table.csv",
    "table.csv\r\nX-Injected: yes",
    "table\n../../etc/passwd",
    'table".csv',
    'x"; filename="../../etc/passwd',
    "x'; filename*=UTF-8''..%2f..%2fetc%2fpasswd",
    "é" * 200,
    "a" * 4096,
    "a/" * 500,
    "\ud83d\ude80".encode("utf-16", "surrogatepass").decode("utf-16") + "/../..",
    "\u202e" + "vsc.elbat",
)


def tried() -> list[str]:
    """All of them in the long form, every sixth in the short one."""
    return traversals()[:: sized(6, 1)]


def traversals() -> list[str]:
    """Distinct, in a fixed order."""
    climbing = [step * depth + target for step, depth, target in product(_STEPS, (1, 8), _TARGETS)]
    encoded = [quote(f"../../../{target}", safe="") for target in _TARGETS] + [
        quote(quote(f"../../../{target}", safe=""), safe="") for target in _TARGETS
    ]
    suffixed = [
        f"../../../etc/passwd{end}"
        for end in (";.csv", "%00.csv", "#.csv", "?.csv", "/.", "//", "%20", ".csv", "\t", "%0a")
    ]
    inside = [
        f"datasets/{one}" for one in ("../published/000000000001.json", "../identity", "../../secrets/tokens.key.pem")
    ]
    keys = [
        "identity",
        "published/000000000001.json",
        "models/x/../../identity",
        "jobs//log.txt",
        "scores/./../identity",
    ]
    return list(dict.fromkeys([*climbing, *encoded, *suffixed, *inside, *keys, *_WHOLE]))
