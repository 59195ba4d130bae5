"""The configuration language: from the text of a file to typed settings."""
