"""Typed stub of the native core; checked against the binary by stubtest."""

__version__: str
