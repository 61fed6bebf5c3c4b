"""Equal tuning: the same trials for every model, on validation alone."""
