"""gRPC front of the RTP plane."""
