"""The published sets: a reader each, and the list of them all."""
