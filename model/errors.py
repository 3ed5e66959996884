"""The errors that narratrace raises; each message says what is wrong and what to do, in one sentence."""

from __future__ import annotations


class NarratraceError(Exception):
    """Base of every error that narratrace raises on purpose. The command prints it as one line and exits with 2."""


class InputError(NarratraceError):
    """An input cannot be read as asked: no such file, unknown format, missing column."""


class SettingsError(NarratraceError):
    """A settings or taxonomy file, or a ``--set`` override, does not fit its schema."""


class ArtefactError(NarratraceError):
    """An artefact is missing, damaged, foreign, or made by an incompatible version."""


class StoppedError(NarratraceError):
    """Long work was asked to stop and left what it needs to go on; the message says how."""


class MissingExtraError(NarratraceError):
    """A package of an optional extra is needed but not installed."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the extra [{extra}]: pip install 'narratrace[{extra}]'.")
        self.extra, self.purpose = extra, purpose

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Say how to rebuild the error, which may have to cross to another process."""
        return type(self), (self.extra, self.purpose)
