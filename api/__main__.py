"""Make ``python -m narratrace`` the ``narratrace`` command."""

from narratrace.commands import main

if __name__ == "__main__":
    main()
