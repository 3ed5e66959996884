"""The configuration that ships with narratrace: taxonomies and settings, as YAML files beside this module."""

from __future__ import annotations

from pathlib import Path

CONFIGS = Path(__file__).resolve().parent
"""The folder of the shipped YAML files."""
