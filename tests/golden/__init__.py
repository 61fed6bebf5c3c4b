"""Golden figures: what every model computes, bit for bit, so that code can be moved without changing any of it."""
