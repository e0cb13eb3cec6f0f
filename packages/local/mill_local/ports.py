"""Ports on the loopback interface."""

import socket

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port nobody listens on now; whoever asks binds it soon, and asks again when that fails."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int, host: str = LOOPBACK) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def preferred_port(wanted: int, host: str = LOOPBACK, *, tries: int = 20) -> int:
    """`wanted` when it is free, else the next free one above it, else any."""
    for port in range(wanted, wanted + tries):
        if is_free(port, host):
            return port
    return free_port()
