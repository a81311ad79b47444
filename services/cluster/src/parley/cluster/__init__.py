"""A local cluster of Parley."""
