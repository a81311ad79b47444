"""Call detail records from call events."""
