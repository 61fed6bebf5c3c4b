"""Finished runs that are kept, and the tables, figures and pages that are made of them."""
