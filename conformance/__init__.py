"""A conformance suite for mail proxies: it plays client, backends, auth server and DNS around any of them."""
