"""The embedded Valkey keeps what the broker was told, and answers nobody without its password."""

import socket
import time
from pathlib import Path

import pytest
from mill_local.errors import PartFailed
from mill_local.ports import LOOPBACK
from mill_local.valkey import CACHE, ValkeyServer


def talk(server: ValkeyServer, *commands: str, password: str | None = None) -> str:
    words = [f"AUTH {server.password if password is None else password}", *commands, "QUIT"]
    with socket.create_connection((LOOPBACK, server.port), timeout=5.0) as line:
        line.sendall("".join(f"{word}\r\n" for word in words).encode())
        answer = b""
        while part := line.recv(4096):
            answer += part
    return answer.decode()


def test_the_broker_keeps_its_messages_when_it_is_killed() -> None:
    with ValkeyServer.temporary() as server:
        talk(server, "SET kept yes", "WAITAOF 1 0 2000")
        server.kill()
        server.start()
        assert "yes" in talk(server, "GET kept")


def test_the_broker_never_evicts_and_the_cache_does(valkey_server: ValkeyServer) -> None:
    assert "noeviction" in talk(valkey_server, "CONFIG GET maxmemory-policy")
    with ValkeyServer.temporary(settings=CACHE) as cache:
        assert "allkeys-lru" in talk(cache, "CONFIG GET maxmemory-policy")


def test_nobody_is_answered_without_the_password(valkey_server: ValkeyServer) -> None:
    assert "NOAUTH" in talk(valkey_server, "GET anything", password="guess")


def test_the_password_is_in_no_command_line_and_no_open_file(valkey_server: ValkeyServer) -> None:
    assert (valkey_server.home / "valkey.conf").stat().st_mode & 0o777 == 0o600
    assert (valkey_server.home / "secrets" / "valkey").stat().st_mode & 0o777 == 0o600


def test_each_test_finds_an_empty_server(valkey_server: ValkeyServer, valkey_url: str) -> None:
    assert valkey_url == valkey_server.url
    assert ":0\r\n" in talk(valkey_server, "DBSIZE")


def test_a_start_on_a_taken_port_is_refused_at_once(valkey_server: ValkeyServer, tmp_path: Path) -> None:
    second = ValkeyServer(tmp_path / "second", port=valkey_server.port)
    begun = time.monotonic()
    with pytest.raises(PartFailed, match="in use"):
        second.start()
    assert time.monotonic() - begun < 20
