"""What can be wrong with a back-up, or in the way of making or restoring one."""


class BackupError(Exception):
    """The back-up cannot be made or restored; the text is one sentence for the operator and holds no secret."""


class HalfRestoredError(BackupError):
    """An external database was filled, and then the home could not be put in its place."""
