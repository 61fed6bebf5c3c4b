"""Models of interactions alone, and baselines that do not train."""
