"""The client for asyncio, which runs each call on a thread."""
import asyncio
import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Coroutine, Dict, List, Mapping, Optional, Sequence, TypeVar

from ._http import Call
from ._losses import LossMethods
from ._result import Result
from ._session import Certificate, Entry, warn
from ._settings import Settings

T = TypeVar("T")


class AsyncClient(Settings, LossMethods[Coroutine[Any, Any, Result]]):
    """Client with asynchronous methods.

        async with AsyncClient("http://127.0.0.1:8080") as client:
            first, second = await asyncio.gather(
                client.mse(x, y, grad=True), client.huber(x, y, delta=0.5)
            )

    Up to `connections` calls run concurrently, each on its own thread and connection. Further calls
    wait; their timeout begins when they start. Cancelling a task closes its connection, which
    cancels the request on the server. With the url "local:", calls run in this process, and
    cancelling a task cancels its evaluation.

    The arguments are those of Client.
    """

    def __init__(
        self,
        url: Optional[str] = None,
        *,
        token: Optional[str] = None,
        timeout: Optional[float] = 60.0,
        retries: int = 4,
        verify: bool = True,
        cafile: Optional[str] = None,
        cert: Optional[Certificate] = None,
        ssl_context: Optional[ssl.SSLContext] = None,
        connections: int = 32,
        threads: Optional[int] = None,
    ) -> None:
        self._open(
            dict(
                url=url,
                token=token,
                timeout=timeout,
                retries=retries,
                verify=verify,
                cafile=cafile,
                cert=cert,
                ssl_context=ssl_context,
                connections=connections,
                threads=threads,
            )
        )
        self._threads = self._new_threads()
        self._process = os.getpid()

    async def evaluate(self, losses: Sequence[Entry], **fields: Any) -> List[Result]:
        """Like Client.evaluate."""
        results = await self._run(lambda call: self._session.evaluate_several(call, losses, fields))
        for result in results:
            warn(result.warnings, stacklevel=2)
        return results

    async def losses(self) -> List[Dict[str, Any]]:
        """Like Client.losses."""
        return await self._run(self._session.losses)

    async def health(self) -> bool:
        """Like Client.health."""
        return await self._run(lambda call: self._session.probe(call, "/healthz"))

    async def ready(self) -> bool:
        """Like Client.ready."""
        return await self._run(lambda call: self._session.probe(call, "/readyz"))

    async def close(self) -> None:
        """Waits for running calls, then closes connections and threads. The client cannot be used
        afterwards."""
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)
        self._session.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    async def _evaluate(
        self,
        loss: str,
        tensors: Mapping[str, Any],
        parameters: Mapping[str, Any],
        reduction: str,
        grad: Any,
        hess: Any,
        dtype: Optional[str],
        part: Mapping[str, Any],
    ) -> Result:
        result = await self._run(
            lambda call: self._session.evaluate(
                call, loss, tensors, parameters, reduction, grad, hess, dtype, part
            )
        )
        warn(result.warnings, stacklevel=2)
        return result

    def _new_threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._arguments["connections"], thread_name_prefix="lossd")

    async def _run(self, work: Callable[[Call], T]) -> T:
        call = self._session.call()

        def run() -> T:
            call.begin()
            return work(call)

        if self._process != os.getpid():  # threads do not survive a fork
            self._threads, self._process = self._new_threads(), os.getpid()
        future = self._threads.submit(run)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            call.cancel()
            raise
