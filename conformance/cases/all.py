"""Every module of cases."""

from __future__ import annotations

from conformance.cases import canary as canary
from conformance.cases import client_name as client_name
from conformance.cases import client_name_session as client_name_session
from conformance.cases import client_name_wire as client_name_wire
from conformance.cases import smtp_auth as smtp_auth
from conformance.cases import smtp_backend as smtp_backend
from conformance.cases import smtp_backend_auth as smtp_backend_auth
from conformance.cases import smtp_commands as smtp_commands
from conformance.cases import smtp_ehlo as smtp_ehlo
from conformance.cases import smtp_ends as smtp_ends
from conformance.cases import smtp_envelope as smtp_envelope
from conformance.cases import smtp_greeting as smtp_greeting
from conformance.cases import smtp_limits as smtp_limits
from conformance.cases import smtp_lines as smtp_lines
from conformance.cases import smtp_none as smtp_none
from conformance.cases import smtp_pipelining as smtp_pipelining
from conformance.cases import smtp_xclient as smtp_xclient
