"""Fake clock, lossy network, scripted phones and contract suites."""
