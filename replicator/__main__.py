"""`replicator`, and `python -m replicator`: signals first, then all the rest."""

from replicator.cli.terminal.signals import leave_early


def main() -> None:
    """Run the command line; a signal while it is being imported ends it with its own code."""
    leave_early()
    from replicator.cli.main import main as run  # noqa: PLC0415 - takes a while

    run()


if __name__ == "__main__":
    main()
