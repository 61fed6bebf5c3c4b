"""Data sets: from files of many formats to one Dataset of checked, split columns."""
