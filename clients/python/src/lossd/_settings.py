"""The base of both clients: their arguments, from which copies and pickles are made."""
import os
from typing import Any, Dict, Optional, Tuple, TypeVar, Union

from ._local import URL as LOCAL_URL, LocalSession
from ._session import Session

DEFAULT_URL = "http://127.0.0.1:8080"

Self = TypeVar("Self", bound="Settings")


class Settings:
    """The arguments of a client. Copies have the same arguments, but their own connections and
    threads.

    A pickle contains the server's URL, even if it came from the environment. It contains a token
    that was passed as an argument, but not one from $LOSSD_TOKEN: the process that loads the pickle
    uses its own environment."""

    _arguments: Dict[str, Any]
    _session: Union[Session, LocalSession]

    def _open(self, arguments: Dict[str, Any]) -> None:
        url, token, self._token_of_environment = where(arguments["url"], arguments["token"])
        self._arguments = {**arguments, "url": url, "token": token}
        if url == LOCAL_URL:
            self._session = LocalSession(**self._arguments)
            return
        if arguments["threads"] is not None:
            raise ValueError(
                f"threads is {arguments['threads']!r}, but it requires the url {LOCAL_URL}"
            )
        remote = {name: value for name, value in self._arguments.items() if name != "threads"}
        self._session = Session(**remote)

    @property
    def url(self) -> str:
        """The URL of the server, or local:."""
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
            raise TypeError(
                "a client with an ssl_context cannot be pickled; one with verify, cafile and"
                " cert can"
            )
        hidden = {"token": None} if self._token_of_environment else {}
        return {
            "arguments": {**self._arguments, **hidden},
            "token_of_environment": self._token_of_environment,
        }

    def __setstate__(self, state: Dict[str, Any]) -> None:
        arguments = dict(state["arguments"])
        # A token from the environment is sent only to the server of the environment.
        if state["token_of_environment"] and arguments["url"] == environment_url():
            arguments["token"] = os.environ.get("LOSSD_TOKEN")
        self.__init__(**arguments)  # type: ignore[misc]
        self._token_of_environment = state["token_of_environment"]


def environment_url() -> str:
    return os.environ.get("LOSSD_URL", DEFAULT_URL)


def where(url: Optional[str], token: Optional[str]) -> Tuple[str, Optional[str], bool]:
    """Returns the URL, the token, and whether the token is from the environment. $LOSSD_TOKEN is
    used only if neither argument is given, and is sent only to $LOSSD_URL or, if that is not set,
    to the default URL."""
    if url is not None:
        return url, token, False
    if token is not None or environment_url() == LOCAL_URL:
        return environment_url(), token, False
    return environment_url(), os.environ.get("LOSSD_TOKEN"), True
