"""Mutants: single changes that make the library wrong, each with the tests that should notice it."""
