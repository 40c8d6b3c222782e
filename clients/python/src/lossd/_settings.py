"""What both clients are made of: their arguments, which copies and pickles of them are made from again."""
import os
from typing import Any, Dict, Optional, Tuple, TypeVar

from ._session import Session

DEFAULT_URL = "http://127.0.0.1:8080"

Self = TypeVar("Self", bound="Settings")


class Settings:
    """The arguments of a client. Its copies have them too, and connections and threads of their own.

    A pickle names the server that the client asks, even if that came from the environment. It contains a token that the client was
    given, but not one from $LOSSD_TOKEN: the process that loads the pickle takes that from its own environment.
    """

    _arguments: Dict[str, Any]
    _session: Session

    def _open(self, arguments: Dict[str, Any]) -> None:
        url, token, self._token_of_environment = where(arguments["url"], arguments["token"])
        self._arguments = {**arguments, "url": url, "token": token}
        self._session = Session(**self._arguments)

    @property
    def url(self) -> str:
        """The server's."""
        return self._session.url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __copy__(self: Self) -> Self:
        copied = type(self).__new__(type(self))
        copied.__init__(**self._arguments)  # type: ignore[misc]
        copied._token_of_environment = self._token_of_environment
        return copied

    def __deepcopy__(self: Self, memo: Dict[int, Any]) -> Self:
        return self.__copy__()

    def __getstate__(self) -> Dict[str, Any]:
        if self._arguments["ssl_context"] is not None:
            raise TypeError("a client with an ssl_context cannot be pickled; one with verify, cafile and cert can")
        hidden = {"token": None} if self._token_of_environment else {}
        return {"arguments": {**self._arguments, **hidden}, "token_of_environment": self._token_of_environment}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        arguments = dict(state["arguments"])
        if state["token_of_environment"] and arguments["url"] == environment_url():  # the token goes to no other server
            arguments["token"] = os.environ.get("LOSSD_TOKEN")
        self.__init__(**arguments)  # type: ignore[misc]
        self._token_of_environment = state["token_of_environment"]


def environment_url() -> str:
    return os.environ.get("LOSSD_URL", DEFAULT_URL)


def where(url: Optional[str], token: Optional[str]) -> Tuple[str, Optional[str], bool]:
    """The server and the token, and whether the token is the environment's: that is for the environment's server alone."""
    if url is not None:
        return url, token, False
    if token is not None:
        return environment_url(), token, False
    return environment_url(), os.environ.get("LOSSD_TOKEN"), True
