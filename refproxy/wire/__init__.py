"""Bytes to values and back: pure functions, the standard library only."""
