"""One event stream, and its readers: log, ladder."""
