"""Faults put into a running refproxy on purpose, to see whether the conformance suite notices each of them."""
