"""What Maven fetches for the servers that run on Java."""
