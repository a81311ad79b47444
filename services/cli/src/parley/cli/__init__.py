"""The command line of an installation's administrator: `parley migrate`, `parley token`."""
