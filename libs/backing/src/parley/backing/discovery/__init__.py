"""Who is alive, and who leads."""
