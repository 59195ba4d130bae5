"""Every module of cases."""

from __future__ import annotations

from conformance.cases import canary as canary
from conformance.cases import client_name as client_name
from conformance.cases import client_name_session as client_name_session
from conformance.cases import client_name_wire as client_name_wire
from conformance.cases import smtp_backend as smtp_backend
from conformance.cases import smtp_backend_auth as smtp_backend_auth
from conformance.cases import smtp_xclient as smtp_xclient
