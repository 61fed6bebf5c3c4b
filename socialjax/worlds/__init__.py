"""Synthetic data with known answers: what a model must find, and what only looks like it."""
