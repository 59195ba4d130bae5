"""An auth_http server for tests: knows users by password, sends every protocol its own way, records the requests."""

from __future__ import annotations

import hashlib
import hmac
import socketserver
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import unquote_to_bytes

__all__ = ["AuthRequest", "AuthServer", "Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """Where the auth server sends a client, and whether it says how the proxy has to protect that connection."""

    port: int
    host: str = "127.0.0.1"
    ssl: str | None = None


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """One request, as it came over the wire."""

    octets: bytes

    @property
    def path(self) -> str:
        return self.octets.split(b" ", 2)[1].decode("ascii")

    @property
    def headers(self) -> dict[str, str]:
        lines = (line.partition(": ") for line in self.octets.decode("latin-1").split("\r\n")[1:-2])
        return {name: value for name, _, value in lines}

    def unescaped(self, name: str) -> bytes:
        """`Auth-User`, `Auth-Pass` or `Auth-SSL-Cert` without its escaping (AUTH-24)."""
        return unquote_to_bytes(self.headers.get(name, "").encode("latin-1"))


class AuthServer:
    """Serves in a thread from `with` on.

    `routes` maps a request path and an `Auth-Protocol` value, as in `/plain smtp`, to a backend; with a user at the
    end, as in `/chosen smtp alice@example.test`, it is for that user only.
    A path `/retry…` refuses with `Auth-Wait: 1`, so that the session goes on. Method `none` is always admitted.
    """

    def __init__(self, users: Mapping[str, str], routes: dict[str, Route]) -> None:
        self.users = users
        self.routes = routes
        self.requests: list[AuthRequest] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                octets = b""
                while not octets.endswith(b"\r\n\r\n"):
                    line = self.rfile.readline()
                    if not line:
                        return
                    octets += line
                request = AuthRequest(octets)
                outer.requests.append(request)
                self.wfile.write(outer.answer(request))

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> AuthServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: AuthRequest) -> bytes:
        """The whole HTTP answer to a request."""
        headers = request.headers
        password = self.users.get(request.unescaped("Auth-User").decode("utf-8", "replace"))
        lines = ["HTTP/1.0 200 OK"]
        if not self._admits(request, password):
            lines.append("Auth-Status: Invalid login or password")
            if request.path.startswith("/retry"):
                lines.append("Auth-Wait: 1")
        else:
            wanted = f"{request.path} {headers['Auth-Protocol']}"
            user = request.unescaped("Auth-User").decode("utf-8")
            route = self.routes.get(f"{wanted} {user}") or self.routes[wanted]
            lines += ["Auth-Status: OK", f"Auth-Server: {route.host}", f"Auth-Port: {route.port}"]
            if route.ssl is not None:
                lines.append(f"Auth-Server-SSL: {route.ssl}")
            if headers["Auth-Method"] in ("apop", "cram-md5"):
                lines.append(f"Auth-Pass: {password}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    @staticmethod
    def _admits(request: AuthRequest, password: str | None) -> bool:
        method = request.headers["Auth-Method"]
        if method == "none":
            return True
        if password is None:
            return False
        secret, salt = password.encode(), request.headers.get("Auth-Salt", "").encode("ascii")
        match method:
            case "plain":
                expected = secret
            case "cram-md5":
                expected = hmac.new(secret, salt, "md5").hexdigest().encode()
            case "apop":
                expected = hashlib.md5(salt + secret, usedforsecurity=False).hexdigest().encode()
            case _:
                return False
        return hmac.compare_digest(request.unescaped("Auth-Pass"), expected)
