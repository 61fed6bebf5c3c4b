"""Training: state, step, devices, loop, checkpoints."""
