"""Asks an auth server over HTTP about a login at Dovecot; a program for its passdb `checkpassword`.

Dovecot starts it for every login as `dovecot_checkpassword.py PORT REPLY-PROGRAM`, in an environment that says who
asks, with user and password on descriptor 3. It is a client of auth_http as far as Dovecot tells it what to say.
It imports nothing of this project: Dovecot starts it with another environment, and often.
"""

import os
import socket
import sys
from collections.abc import Mapping

__all__ = ["Route", "escape", "fields_of", "parse_answer", "request_of"]

HOST = "127.0.0.1"
REFUSED, TROUBLE = 1, 111  # what checkpassword's exit statuses mean
CREDENTIALS_FD = 3
CREDENTIALS_LIMIT = 65536
PROTOCOLS = {"submission": "smtp"}
"""Where Dovecot's name of a service is not the protocol's."""

Route = dict[str, str]
"""The headers of an answer, by name in lower case."""


def escape(octets: bytes) -> str:
    """Percent-encode control octets, space and percent sign; the rest is sent as it is."""
    return "".join(f"%{octet:02X}" if octet <= 0x20 or octet == 0x25 else chr(octet) for octet in octets)


def request_of(user: bytes, password: bytes, environment: Mapping[str, str]) -> bytes:
    """The request about a login. Dovecot tells neither mechanism nor number of attempts, so these are constant."""
    service = environment.get("SERVICE", "imap")
    lines = [
        "GET /auth HTTP/1.0",
        f"Host: {HOST}",
        "Auth-Method: plain",
        f"Auth-User: {escape(user)}",
        f"Auth-Pass: {escape(password)}",
        f"Auth-Protocol: {PROTOCOLS.get(service, service)}",
        "Auth-Login-Attempt: 1",
        f"Client-IP: {environment.get('TCPREMOTEIP', '')}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1")


def parse_answer(octets: bytes) -> Route:
    """The headers of an answer; of several with one name the last."""
    head = octets.decode("latin-1").partition("\r\n\r\n")[0]
    pairs = (line.partition(":") for line in head.split("\r\n")[1:])
    return {name.lower(): value.strip() for name, _, value in pairs}


def fields_of(answer: Route) -> dict[str, str]:
    """Dovecot's extra fields that lead to the backend of a positive answer. Raises KeyError if it lacks the route."""
    fields = {"proxy": "y", "host": answer["auth-server"], "port": answer["auth-port"]}
    # Without these Dovecot logs in as the client did.
    if "auth-user" in answer:
        fields["destuser"] = answer["auth-user"]
    if "auth-pass" in answer:
        fields["pass"] = answer["auth-pass"]
    return fields


def ask(port: int, request: bytes) -> bytes:
    """Everything that the auth server answers. Raises OSError."""
    answer = b""
    with socket.create_connection((HOST, port)) as connection:
        connection.sendall(request)
        while octets := connection.recv(65536):
            answer += octets
    return answer


def decide(port: int, reply: list[str]) -> int:
    """Decide about the login on descriptor 3: the exit status of a refusal, or `reply` in place of this program."""
    with os.fdopen(CREDENTIALS_FD, "rb") as source:
        user, password, *_ = [*source.read(CREDENTIALS_LIMIT).split(b"\0"), b"", b""]
    try:
        answer = parse_answer(ask(port, request_of(user, password, os.environ)))
        status = answer["auth-status"]
        fields = fields_of(answer) if status.upper() == "OK" else {}
    except (OSError, KeyError):
        return TROUBLE
    if not fields:
        return REFUSED
    # Dovecot's reply program wants to find its environment; USER and HOME it would take for fields of its own.
    environment = {name: value for name, value in os.environb.items() if name not in (b"USER", b"HOME")}
    for name, value in {**fields, "EXTRA": " ".join(fields)}.items():
        environment[name.encode()] = value.encode("latin-1")
    return os.execve(reply[0], reply, environment)  # noqa: S606 (Dovecot's own program, as it asks for)


if __name__ == "__main__":
    sys.exit(decide(int(sys.argv[1]), sys.argv[2:]))
