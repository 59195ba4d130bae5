"""What Dovecot's passdb asks the auth server, and what it makes of the answer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest

from conformance.targets import dovecot_checkpassword
from conformance.targets.dovecot_checkpassword import escape, fields_of, parse_answer, request_of

ON_THREE = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
REPLY = "import os, json; print(json.dumps({name: os.environ.get(name) for name in ('EXTRA', 'host', 'USER')}))"


def asked(answer: bytes, credentials: bytes = b"user\0pass\0") -> tuple[int, bytes, bytes]:
    """Run the program as Dovecot does; its status, its output, and the request."""
    read, write = os.pipe()
    os.write(write, credentials)
    os.close(write)
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                requests.append(connection.recv(65536))
                connection.sendall(answer)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        done = subprocess.run(
            [
                sys.executable, "-c", ON_THREE, str(read), sys.executable, "-I", dovecot_checkpassword.__file__,
                str(listener.getsockname()[1]), sys.executable, "-c", REPLY,
            ],
            pass_fds=[read],
            env={"SERVICE": "submission", "TCPREMOTEIP": "127.64.0.1", "USER": "user"},
            capture_output=True,
            check=False,
        )  # fmt: skip
        server.join(5)
    os.close(read)
    return done.returncode, done.stdout, b"".join(requests)


def test_octets_are_escaped_as_in_auth_http() -> None:
    assert escape(b"a b%\r\n\x7f\xe9") == "a%20b%25%0D%0A\x7f\xe9"


def test_the_request_says_what_dovecot_tells() -> None:
    request = request_of(b"us er", b"\xe9", {"SERVICE": "pop3", "TCPREMOTEIP": "127.64.0.9"})
    assert request.split(b"\r\n")[2:] == [
        b"Auth-Method: plain",
        b"Auth-User: us%20er",
        b"Auth-Pass: \xe9",
        b"Auth-Protocol: pop3",
        b"Auth-Login-Attempt: 1",
        b"Client-IP: 127.64.0.9",
        b"",
        b"",
    ]


def test_an_answer_becomes_extra_fields() -> None:
    answer = parse_answer(b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nauth-server: 127.0.0.1\r\nAuth-Port: 25\r\n\r\nx: y")
    assert fields_of(answer) == {"proxy": "y", "host": "127.0.0.1", "port": "25"}
    assert fields_of({**answer, "auth-user": "u", "auth-pass": "p"}).items() >= {("destuser", "u"), ("pass", "p")}
    with pytest.raises(KeyError):
        fields_of({})


def test_who_is_admitted_is_handed_to_dovecots_program() -> None:
    answer = b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: 25\r\n\r\n"
    status, output, request = asked(answer)
    assert (status, output) == (0, b'{"EXTRA": "proxy host port", "host": "127.0.0.1", "USER": null}\n')
    assert b"\r\nAuth-User: user\r\nAuth-Pass: pass\r\nAuth-Protocol: smtp\r\n" in request


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (b"HTTP/1.0 200 OK\r\nAuth-Status: no\r\n\r\n", 1),
        (b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n\r\n", 111),
        (b"nonsense", 111),
        (b"", 111),
    ],
)
def test_refusals_and_trouble_are_exit_statuses(answer: bytes, wanted: int) -> None:
    assert asked(answer)[:2] == (wanted, b"")
