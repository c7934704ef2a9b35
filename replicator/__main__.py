"""`replicator`, and `python -m replicator`: signals first, then all the rest."""

import gc
import os

from replicator.cli.terminal.signals import leave_early


def main() -> None:
    """Run the command line; a signal while it is being imported ends it with its own code."""
    leave_early()
    # Looking for other packages' plugins reads the metadata of all that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()  # what is imported stays: looking through it again and again is a tenth of a start
    from replicator.cli.main import main as run  # noqa: PLC0415 - takes a while

    run()


if __name__ == "__main__":
    main()
