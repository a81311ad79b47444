"""One module per resource; a route parses, authorises, asks the store and shows."""
