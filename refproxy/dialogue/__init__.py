"""Decisions: what to answer, and what must happen next. No I/O, no clock, no log."""
