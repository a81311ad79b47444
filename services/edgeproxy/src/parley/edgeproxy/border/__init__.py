"""What may cross the border, and what is asked of a request before it does."""
