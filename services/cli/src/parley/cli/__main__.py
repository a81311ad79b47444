"""`python -m parley.cli`: the command `parley`."""

from parley.cli.command import main

if __name__ == "__main__":
    main()
