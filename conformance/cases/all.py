"""Every module of cases."""

from __future__ import annotations

from conformance.cases import canary as canary
from conformance.cases import smtp_xclient as smtp_xclient
