"""Media control: how a call manager commands media relays, in process or over gRPC."""
