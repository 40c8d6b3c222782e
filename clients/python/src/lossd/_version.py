"""The version, which is that of the server it comes with."""
__version__ = "0.1.0"
