"""The only place that reads the environment: it becomes one frozen value that is handed on in parts."""

from talon.settings.model import Settings
from talon.settings.names import PREFIX
from talon.settings.read import SettingsError

__all__ = ["PREFIX", "Settings", "SettingsError"]
