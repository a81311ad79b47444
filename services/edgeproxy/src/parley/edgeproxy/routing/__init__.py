"""How an edge is found again: addresses, sealed tokens in routes, derived ids and branches."""
