"""The same as ``deskwright bench``."""

from deskwright.cli.bench_command import main

if __name__ == "__main__":
    main()
