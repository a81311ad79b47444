"""Stubs of `proto/parley/rpc/media`."""
