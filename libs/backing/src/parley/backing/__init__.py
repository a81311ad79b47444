"""Ports to the backing services, with embedded and real adapters.

Services take a `Backing` from `parley.backing.factory` and know its ports by the protocols in
`bus.base`, `state.base`, `discovery.base` and `blobs.base`. Importing this package loads nothing.
"""
