"""The mutants, module by module: each is about one area of the proxy."""
