"""B2BUA: routes, connects and supervises calls."""
