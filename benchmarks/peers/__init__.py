"""Other libraries beside ours: scripts of our own that call them, each run by an environment that has that library."""
