"""Locks of modules."""
import os
import threading


class ModuleLock:
    """A lock that lives as long as the process, used as `with lock.current:`. It is replaced in the
    child of a fork: the thread that held it does not exist there."""

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.current = threading.Lock()
