"""Every module of cases."""

from __future__ import annotations

from conformance.cases import backend_tls as backend_tls
from conformance.cases import backend_tls_peers as backend_tls_peers
from conformance.cases import canary as canary
from conformance.cases import listeners as listeners
from conformance.cases import proxy_header_out as proxy_header_out
from conformance.cases import proxy_header_tlvs as proxy_header_tlvs
from conformance.cases import proxy_header_v1 as proxy_header_v1
from conformance.cases import proxy_header_v2 as proxy_header_v2
from conformance.cases import real_ip as real_ip
from conformance.cases import smtp_xclient as smtp_xclient
from conformance.cases import starttls as starttls
from conformance.cases import starttls_boundary as starttls_boundary
from conformance.cases import tls_client_certificates as tls_client_certificates
from conformance.cases import tls_handshake as tls_handshake
from conformance.cases import tls_names as tls_names
from conformance.cases import tls_relay as tls_relay
from conformance.cases import tls_sessions as tls_sessions
from conformance.cases import tls_versions as tls_versions
