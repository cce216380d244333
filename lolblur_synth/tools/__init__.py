"""Paths in, paths out: what the commands beside `build` run."""
