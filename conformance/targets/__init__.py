"""The proxies that can be judged: how each is configured, started and stopped."""
