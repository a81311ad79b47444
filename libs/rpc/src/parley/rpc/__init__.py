"""Generated gRPC stubs of proto/parley/rpc."""
