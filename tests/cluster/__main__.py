"""`python -m tests.cluster up` starts a local cluster."""

from tests.cluster.cli import commands

if __name__ == "__main__":
    commands()
