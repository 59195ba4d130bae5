"""Benchmarks: what a session costs the proxy, measured by the operating system's accounting."""
