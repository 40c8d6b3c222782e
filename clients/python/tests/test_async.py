"""AsyncClient: the same results, concurrently."""
import asyncio
import copy
import os
import pickle
import threading

import numpy as np
import pytest

import lossd
from conftest import run_python
from fake import Fake, answer, silence

X, Y = [2.5, 0, 2], [3, -0.5, 2]


def test_results_equal_those_of_client(url):
    async def work():
        async with lossd.AsyncClient(url) as client:
            assert await client.health() and await client.ready()
            assert [loss["name"] for loss in await client.losses()] == list(lossd.LOSSES)
            (several,) = await client.evaluate(["mse"], input=X, target=Y)
            assert several.loss == (await client.mse(X, Y)).loss
            return await asyncio.gather(
                client.mse(X, Y, grad=True),
                client.huber(X, Y, delta=0.25),
                *[client.l1(X, [k] * 3) for k in range(50)]
            )

    mse, huber, *rest = asyncio.run(work())
    with lossd.Client(url) as client:
        np.testing.assert_array_equal(mse.grad.input, client.mse(X, Y, grad=True).grad.input)
        assert huber.loss == client.huber(X, Y, delta=0.25).loss
        assert [result.loss for result in rest] == [client.l1(X, [k] * 3).loss for k in range(50)]


def test_requests_run_concurrently():
    together = threading.Barrier(12)

    def meet(connection):  # responds only after all requests have arrived
        together.wait(30)
        answer()(connection)

    async def work(server):
        async with lossd.AsyncClient(server.url) as client:
            return await asyncio.gather(*[client.mse(X, Y) for _ in range(12)])

    with Fake(*[meet] * 12) as server:
        assert [result.loss for result in asyncio.run(work(server))] == [0.25] * 12


def test_connections_limits_concurrency():
    async def work(server):
        async with lossd.AsyncClient(server.url, connections=2) as client:
            return await asyncio.gather(*[client.mse(X, Y) for _ in range(10)])

    with Fake(*[answer()] * 10) as server:
        assert len(asyncio.run(work(server))) == 10
        assert len(server._threads) <= 2


def test_errors_and_warnings(url):
    async def work():
        async with lossd.AsyncClient(url) as client:
            with pytest.raises(lossd.InvalidRequest, match="class indices must be in"):
                await client.cross_entropy([[0.2, 0.8]], [2])
            with pytest.warns(lossd.LossdWarning, match="broadcast") as caught:
                await client.mse(np.zeros((3, 1)), np.zeros(3))
            assert caught[0].filename == __file__

    asyncio.run(work())


def test_cancelling_a_task_closes_its_connection():
    async def work(server):
        async with lossd.AsyncClient(server.url, timeout=None) as client:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.mse(X, Y), 0.3)
            assert (await client.mse(X, Y)).loss == 0.25

    with Fake(silence, answer()) as server:  # silence ends when the connection is closed
        asyncio.run(work(server))
    assert len(server.requests) == 2


FORKS = """
import asyncio, os, sys, lossd
client = lossd.AsyncClient(sys.argv[1])
assert asyncio.run(client.mse([1.0], [0.0])).loss == 1
child = os.fork()
if child == 0:
    os._exit(0 if asyncio.run(client.mse([3.0], [0.0])).loss == 9 else 1)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is missing")
def test_client_works_in_a_forked_child(url):
    run_python(FORKS, url)


def test_copies_and_pickles_work(url):
    async def work():
        async with lossd.AsyncClient(url, timeout=9) as client:
            for other in (
                copy.copy(client),
                copy.deepcopy(client),
                pickle.loads(pickle.dumps(client)),
            ):
                assert (await other.mse(X, Y)).loss == (await client.mse(X, Y)).loss
                await other.close()

    asyncio.run(work())
