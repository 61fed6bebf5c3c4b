"""Explanations of recommendations, as records, sentences, pictures and pages."""
