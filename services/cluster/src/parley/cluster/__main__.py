"""`python -m parley.cluster up` starts a local cluster."""

from parley.cluster.cli import commands

if __name__ == "__main__":
    commands()
