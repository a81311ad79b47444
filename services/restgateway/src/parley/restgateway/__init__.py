"""REST API for every resource of the platform."""
