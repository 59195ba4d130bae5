"""A reference mail proxy for SMTP, IMAP and POP3 on Trio."""

__version__ = "0.1.0"
