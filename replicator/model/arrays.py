"""numpy, imported when the first array is made: `status` of targets that are up to date makes none.

numpy takes more time to import than everything that such a `status` does. Modules that `status`
needs import `np` from here, and name types of arrays in annotations alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
else:

    class _Numpy:
        """Hands out what numpy has, and keeps it, so that it is looked up once."""

        def __getattr__(self, name: str) -> Any:
            found = getattr(import_module("numpy"), name)
            setattr(self, name, found)
            return found

    np = _Numpy()

__all__ = ["np"]
