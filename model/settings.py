"""Settings: one YAML file checked by pydantic, changed by dotted overrides, saved resolved beside every run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from narratrace.model.errors import SettingsError
from narratrace.model.strict import StrictLoader, StrictModel


class Settings(StrictModel):
    """Base of every settings class."""


S = TypeVar("S", bound=BaseModel)


def load_settings(schema: type[S], path: Path, overrides: Sequence[str] = ()) -> S:
    """Read a YAML settings file, apply ``a.b=value`` overrides, and check the result.

    Parameters
    ----------
    schema
        The pydantic class that the file must fit.
    path
        The YAML file.
    overrides
        Strings such as ``"optimiser.epochs=3"``; the value is read as YAML, so ``null``, ``true`` and ``[a, b]`` work.

    Raises
    ------
    SettingsError
        The file cannot be read, is no YAML mapping, an override is malformed, or a field does not fit; the message
        names the file, or the override where the file alone is fine, and the first field at fault.
    """
    try:
        fields = yaml.load(path.read_text(encoding="utf-8"), Loader=StrictLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"Cannot read the settings file {path}: {error}.") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(fields, dict):
        raise SettingsError(f"{path} must hold settings as 'name: value' lines.")
    where = str(path)
    if overrides:
        try:
            schema.model_validate(fields)
        except ValidationError:
            # An override may fill what the file leaves out, so a fault that is left may be of either.
            where = f"{path} with {_as_given(overrides)}"
        else:
            where = _as_given(overrides)
    for override in overrides:
        apply_override(fields, override)
    return check_settings(schema, fields, where)


def _as_given(overrides: Sequence[str]) -> str:
    return " ".join(f"--set {override}" for override in overrides)


def check_settings(schema: type[S], fields: Any, where: str) -> S:
    """Validate ``fields`` against ``schema``; raise :class:`SettingsError` that names ``where`` and the first fault."""
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise SettingsError(f"{where}: {field}: {first['msg'].removeprefix('Value error, ')}{more}.") from error


def save_settings(settings: BaseModel, path: Path) -> None:
    """Write ``settings`` with every default filled in, as YAML that :func:`load_settings` reads back."""
    text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
    path.write_text(text, encoding="utf-8")


def apply_override(fields: dict[str, Any], override: str) -> None:
    """Change ``fields`` as the override ``a.b=value`` says; raise :class:`SettingsError` where it is none."""
    name, mark, value = override.partition("=")
    if not mark or not name.strip():
        raise SettingsError(f"'{override}' is no setting: write name=value, for example optimiser.epochs=3.")
    *parents, last = name.strip().split(".")
    at = fields
    for parent in parents:
        below = at.setdefault(parent, {})
        if not isinstance(below, dict):
            raise SettingsError(f"'{override}': {parent} is a single value and has no field {last}.")
        at = below
    try:
        at[last] = yaml.load(value, Loader=StrictLoader)
    except yaml.YAMLError as error:
        raise SettingsError(f"'{override}': the value is not valid YAML.") from error
