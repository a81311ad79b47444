"""Version 1 of the media control contract."""
