"""The bars that models must reach in `planted_all`, one module for each kind of synthetic world."""
