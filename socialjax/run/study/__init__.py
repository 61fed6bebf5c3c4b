"""A table of models on one data set: each in its folder, trained or read, what is out of date put aside."""
