"""The SASL mechanisms as data: what the proxy asks, and how the answers become credentials (sasl rules, section 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from refproxy.config.settings import Mechanism
from refproxy.wire import sasl
from refproxy.wire.sasl import Credentials

__all__ = ["ALWAYS_USABLE", "MECHANISMS", "OAUTH_METHODS", "SaslExchange", "SaslMechanism", "show_mechanism"]

ALWAYS_USABLE = frozenset({Mechanism.PLAIN, Mechanism.LOGIN})
"""Accepted even when not configured; the configuration only advertises them (SASL-2)."""

OAUTH_METHODS = {b"xoauth2": b"", b"oauthbearer": b"AQ=="}
"""The methods with an error challenge, and the line a client must answer it with (SASL-81)."""


@dataclass(frozen=True, slots=True)
class SaslMechanism:
    """`prompts` are the challenges in clear, one before each answer; `finish` turns the answers into credentials.

    A prompt of None stands for the salt. `initial` says whether the first answer may come with the command (SASL-8).
    """

    word: Mechanism
    prompts: tuple[bytes | None, ...]
    finish: Callable[..., Credentials]
    initial: bool = True

    @property
    def is_salted(self) -> bool:
        """Whether a salt is among the challenges."""
        return None in self.prompts


MECHANISMS: dict[bytes, SaslMechanism] = {
    b"PLAIN": SaslMechanism(Mechanism.PLAIN, (b"",), sasl.parse_plain),
    b"LOGIN": SaslMechanism(Mechanism.LOGIN, (sasl.USERNAME_PROMPT, sasl.PASSWORD_PROMPT), sasl.parse_login),
    b"CRAM-MD5": SaslMechanism(Mechanism.CRAM_MD5, (None,), sasl.parse_cram_md5, initial=False),
    b"EXTERNAL": SaslMechanism(Mechanism.EXTERNAL, (sasl.USERNAME_PROMPT,), sasl.parse_external),
    b"XOAUTH2": SaslMechanism(Mechanism.XOAUTH2, (b"",), sasl.parse_xoauth2),
    b"OAUTHBEARER": SaslMechanism(Mechanism.OAUTHBEARER, (b"",), sasl.parse_oauthbearer),
}
"""In the order in which they are advertised (SASL-1)."""


def show_mechanism(name: bytes) -> str:
    """A mechanism's name as it may be shown. An unknown one may be a credential put in its place by mistake."""
    return name.decode("ascii") if name.upper() in MECHANISMS else "***"


@dataclass(slots=True)
class SaslExchange:
    """One run of a mechanism. `salt` is for mechanisms that challenge with one, see `is_salted`."""

    mechanism: SaslMechanism
    salt: bytes
    _answers: list[bytes] = field(default_factory=list, repr=False)

    @property
    def challenge(self) -> bytes:
        """The next challenge, in base64; an empty one stays empty."""
        prompt = self.mechanism.prompts[len(self._answers)]
        return sasl.encode_base64(self.salt if prompt is None else prompt)

    def answer(self, text: bytes) -> Credentials | None:
        """Take the base64 answer to the current challenge; None means that another challenge follows.

        Raises WireError when it cannot be decoded or has not the mechanism's form.
        """
        self._answers.append(sasl.decode_base64(text))
        if len(self._answers) < len(self.mechanism.prompts):
            return None
        salts = (self.salt,) if self.mechanism.is_salted else ()
        return self.mechanism.finish(*self._answers, *salts)
