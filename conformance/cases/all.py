"""Every module of cases."""

from __future__ import annotations

from conformance.cases import canary as canary
from conformance.cases import imap_capability as imap_capability
from conformance.cases import imap_commands as imap_commands
from conformance.cases import imap_limits as imap_limits
from conformance.cases import imap_login as imap_login
from conformance.cases import login_batches as login_batches
from conformance.cases import login_lines as login_lines
from conformance.cases import login_results as login_results
from conformance.cases import pop3_commands as pop3_commands
from conformance.cases import pop3_limits as pop3_limits
from conformance.cases import pop3_lists as pop3_lists
from conformance.cases import real_clients as real_clients
from conformance.cases import sasl_digests as sasl_digests
from conformance.cases import sasl_frames as sasl_frames
from conformance.cases import sasl_oauth as sasl_oauth
from conformance.cases import sasl_passwords as sasl_passwords
from conformance.cases import smtp_xclient as smtp_xclient
