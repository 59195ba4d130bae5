"""`ssl_conf_command`: the configuration commands of OpenSSL (SSL_CONF_cmd(3)), as far as pyOpenSSL reaches."""

from __future__ import annotations

from collections.abc import Callable

from OpenSSL import SSL

from refproxy.net.tls.openssl_gaps import set_groups, set_signature_algorithms

__all__ = ["apply"]

VERSIONS = {
    "none": 0,
    "tlsv1": SSL.TLS1_VERSION,
    "tlsv1.1": SSL.TLS1_1_VERSION,
    "tlsv1.2": SSL.TLS1_2_VERSION,
    "tlsv1.3": SSL.TLS1_3_VERSION,
}

OPTIONS = {
    "serverpreference": SSL.OP_CIPHER_SERVER_PREFERENCE,
    "norenegotiation": SSL.OP_NO_RENEGOTIATION,
    "prioritizechacha": 1 << 21,  # SSL_OP_PRIORITIZE_CHACHA
    "noresumptiononrenegotiation": 1 << 16,  # SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION
    "-sessionticket": SSL.OP_NO_TICKET,
    "-compression": SSL.OP_NO_COMPRESSION,
    "-encryptthenmac": 1 << 19,  # SSL_OP_NO_ENCRYPT_THEN_MAC
    "-extendedmastersecret": 1 << 0,  # SSL_OP_NO_EXTENDED_MASTER_SECRET
    "-antireplay": 1 << 24,  # SSL_OP_NO_ANTI_REPLAY
}
"""What a word of `Options` sets; a hyphen in front belongs to the words that OpenSSL has on unless told otherwise."""

ON_ANYWAY = frozenset({"encryptthenmac", "extendedmastersecret", "antireplay", "dhsingle", "ecdhsingle", "bugs"})


def apply(context: SSL.Context, name: str, value: str) -> None:
    """Carry out one command. Raises ValueError, which says why, for what cannot be done, and SSL.Error."""
    command = COMMANDS.get(name.lower())
    if command is None:
        known = ", ".join(("CipherString", "Ciphersuites", "Groups", "MaxProtocol", "MinProtocol", "Options"))
        raise ValueError(f"the TLS library takes no such command here; it takes {known}, SignatureAlgorithms")
    command(context, value)


def _min_protocol(context: SSL.Context, value: str) -> None:
    context.set_min_proto_version(_version(value))


def _max_protocol(context: SSL.Context, value: str) -> None:
    context.set_max_proto_version(_version(value))


def _version(value: str) -> int:
    version = VERSIONS.get(value.lower())
    if version is None:
        raise ValueError("expected None, TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3")
    return version


def _cipher_string(context: SSL.Context, value: str) -> None:
    context.set_cipher_list(value.encode())


def _ciphersuites(context: SSL.Context, value: str) -> None:
    context.set_tls13_ciphersuites(value.encode())


def _groups(context: SSL.Context, value: str) -> None:
    set_groups(context, value.encode())


def _signature_algorithms(context: SSL.Context, value: str) -> None:
    set_signature_algorithms(context, value.encode())


def _options(context: SSL.Context, value: str) -> None:
    for word in value.split(","):
        option = word.strip().lower().removeprefix("+")
        if option in OPTIONS:
            context.set_options(OPTIONS[option])
        elif option not in ON_ANYWAY:
            known = ", ".join(sorted(OPTIONS))
            raise ValueError(f'the TLS library cannot set the option "{word.strip()}"; it can set {known}')


COMMANDS: dict[str, Callable[[SSL.Context, str], None]] = {
    "minprotocol": _min_protocol,
    "maxprotocol": _max_protocol,
    "cipherstring": _cipher_string,
    "ciphersuites": _ciphersuites,
    "curves": _groups,
    "groups": _groups,
    "signaturealgorithms": _signature_algorithms,
    "options": _options,
}
"""Names are compared without regard to case, as OpenSSL does in files."""
