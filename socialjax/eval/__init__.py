"""Evaluation: protocols, ranking, metrics, significance."""
