"""Data sets that do not fit in memory: graph folders, made out of core and read by memory mapping."""
