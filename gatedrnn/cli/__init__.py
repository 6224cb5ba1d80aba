"""The ``gatedrnn`` command: ``gatedrnn.cli.main``; one module for each command of no task."""
