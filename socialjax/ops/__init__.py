"""Array operations in JAX, and what prepares their inputs in NumPy; they know nothing of recommenders."""
