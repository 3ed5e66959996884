"""Import every module of the installed narratrace, with our own deprecation warnings as errors.

A module may fail only for want of a package of the extra [train]; tests/test_floors.py says which modules may need one.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings

import narratrace

warnings.filterwarnings("error", category=DeprecationWarning, module=r"narratrace(\.|$)")
imported, waiting = 0, []
for module in pkgutil.walk_packages(narratrace.__path__, "narratrace."):
    if module.name == "narratrace.__main__":  # runs the command
        continue
    try:
        importlib.import_module(module.name)
        imported += 1
    except ModuleNotFoundError as error:
        if not module.name.startswith(("narratrace.training.", "narratrace.model.")) or "narratrace" in (
            error.name or ""
        ):
            raise
        waiting.append(module.name)
print(f"Imported {imported} modules; {len(waiting)} need the extra [train]: {', '.join(waiting) or 'none'}.")
