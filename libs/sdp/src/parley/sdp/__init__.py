"""SDP and offer/answer without I/O (RFC 8866, RFC 3264)."""
