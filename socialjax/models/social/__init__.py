"""Models that read links between users."""
