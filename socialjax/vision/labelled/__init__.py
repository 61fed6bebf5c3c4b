"""Pictures with labelled attributes: readers, parts, batches from files."""
