"""The version, which is that of the server in the same repository."""
__version__ = "0.1.0"
