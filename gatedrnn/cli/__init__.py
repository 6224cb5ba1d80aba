"""The ``gatedrnn`` command."""
