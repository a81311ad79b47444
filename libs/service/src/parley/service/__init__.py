"""Process scaffold: settings, clock, logging, metrics, health, lifecycle."""
