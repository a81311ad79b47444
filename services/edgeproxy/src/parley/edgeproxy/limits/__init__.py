"""What strangers cost at most: rates, places, and the share of those who are known."""
