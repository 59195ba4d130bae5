"""Every module of cases."""

from __future__ import annotations

from conformance.cases import auth_answers as auth_answers
from conformance.cases import auth_client as auth_client
from conformance.cases import auth_ends as auth_ends
from conformance.cases import auth_failures as auth_failures
from conformance.cases import auth_request as auth_request
from conformance.cases import auth_route as auth_route
from conformance.cases import auth_wait as auth_wait
from conformance.cases import backend_connect as backend_connect
from conformance.cases import backend_errors as backend_errors
from conformance.cases import backend_faults as backend_faults
from conformance.cases import backend_replies as backend_replies
from conformance.cases import canary as canary
from conformance.cases import limits as limits
from conformance.cases import relay_data as relay_data
from conformance.cases import relay_end as relay_end
from conformance.cases import shutdown as shutdown
from conformance.cases import smtp_xclient as smtp_xclient
from conformance.cases import timers as timers
