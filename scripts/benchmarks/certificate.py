"""The certificate of the listeners that speak TLS, made anew for each run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme

from scripts.benchmarks.reactor import LOOPBACK

KEY = "ECDSA P-256"  # what is in common use; an RSA key would let its signature hide the rest of the handshake


@dataclass(frozen=True)
class Certificate:
    """Where its two files are."""

    chain: Path
    key: Path


def make_certificate(directory: Path) -> Certificate:
    issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert(LOOPBACK, key_type=trustme.KeyType.ECDSA)
    made = Certificate(directory / "chain.pem", directory / "key.pem")
    issued.private_key_pem.write_to_path(made.key)
    for pem in issued.cert_chain_pems:
        pem.write_to_path(made.chain, append=True)
    return made
