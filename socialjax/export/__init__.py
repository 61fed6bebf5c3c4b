"""What leaves a run, for other programs and machines."""
