"""Make ``python -m narratrace`` the ``narratrace`` command."""

from narratrace.commands import main

main()
