"""Import every module of the installed narratrace, with our own deprecation warnings as errors.

A module may fail only for want of a package of the extra [train]; tests/test_floors.py says which modules may need one.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings

import narratrace

warnings.filterwarnings("error", category=DeprecationWarning, module=r"narratrace(\.|$)")
imported, waiting = [], []
for module in pkgutil.walk_packages(narratrace.__path__, "narratrace."):
    if module.name == "narratrace.__main__":  # runs the command
        continue
    try:
        importlib.import_module(module.name)
        imported.append(module.name)
    except ModuleNotFoundError as error:
        if not module.name.startswith(("narratrace.training.", "narratrace.model.")) or "narratrace" in (
            error.name or ""
        ):
            raise
        waiting.append(module.name)
missing = {f"narratrace.{floor}" for floor in ("commands", "configs", "inference", "model", "training")} - set(imported)
assert not missing, f"not in the wheel: {missing}"
print(f"Imported {len(imported)} modules; {len(waiting)} need the extra [train]: {', '.join(waiting)}.")
