"""The ``narratrace`` command: one file per command."""
