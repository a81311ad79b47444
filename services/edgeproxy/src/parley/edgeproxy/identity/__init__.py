"""Who sent a request, and which tenant it belongs to."""
