"""TLS, with pyOpenSSL as its one engine."""
