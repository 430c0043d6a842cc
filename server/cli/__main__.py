"""`python -m server.cli` is `handoff`."""

from server.cli import main

if __name__ == "__main__":
    main()
