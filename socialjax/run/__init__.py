"""Experiments: settings, the command line, execution, results, and finished runs read back."""
