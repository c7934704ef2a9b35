"""Where the control API keeps jobs, plans, tokens and its audit log."""

from pathlib import Path
from typing import Final

from replicator.config import Settings
from replicator.config.operations.control import ControlSettings
from replicator.errors import ConfigError

DATABASE: Final = "control.db"


def control_folder(settings: Settings) -> Path:
    """Return the folder of jobs, tokens and the audit log.

    Raises:
        ConfigError: none is configured, and there is no log's file beside which it could be.
    """
    control = control_settings(settings)
    if control.folder is not None:
        return control.folder
    path = getattr(settings.recorded, "path", None)
    if path is None:
        raise ConfigError(
            "web.control.folder is not set, and the log is no file that it could be beside",
            hint="name a folder on a local disk, like /var/lib/druid-replicator/control",
        )
    return Path(f"{path}.control")


def control_settings(settings: Settings) -> ControlSettings:
    """Return what is configured for the control API.

    Raises:
        ConfigError: nothing is.
    """
    if settings.web is None or settings.web.control is None:
        raise ConfigError(
            "web.control is not configured",
            hint='set where to listen: web: {control: {listen: "127.0.0.1:9465"}}',
        )
    return settings.web.control
