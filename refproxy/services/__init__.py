"""What a session asks of others: the auth server, the resolver."""
