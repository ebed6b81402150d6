"""`python -m rsr_cli` is `rsr`."""

from rsr_cli.cli.app import main

main()
