"""The client with overloaded, slow, broken or missing servers."""
import ssl
import subprocess
import threading
import time
from email.utils import formatdate

import pytest

import fake
import lossd
from fake import LOSS, Fake, answer, drip, drop, raw, reset, silence
from lossd import _http


def ask(server, **settings):
    with lossd.Client(server.url, **settings) as client:
        return client.mse([1.0], [2.0], grad=True)


@pytest.fixture
def waits(monkeypatch):
    """Records waits instead of sleeping."""
    slept = []
    monkeypatch.setattr(_http.Call, "sleep", lambda call, seconds: slept.append(seconds))
    return slept


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_overloaded_server_is_retried(status, waits):
    with Fake(answer(status, b""), answer(status, b""), answer()) as server:
        assert ask(server).loss == 0.25
    assert len(server.requests) == 3
    limits = [float(headers.pop("X-Request-Timeout")) for _, headers, _ in server.requests]
    assert 50 < limits[2] <= limits[0] <= 60
    assert server.requests[0] == server.requests[2]


LATE = b'{"status": 503, "detail": "the response was not ready within 60 seconds"}'


@pytest.mark.parametrize(
    "content_type", ["application/problem+json", "Application/Problem+JSON; charset=utf-8"]
)
def test_request_over_the_compute_timeout_is_not_retried(content_type, waits):
    with Fake(answer(503, LATE, content_type), answer()) as server:
        with pytest.raises(lossd.Unavailable, match="not ready within 60 seconds") as caught:
            ask(server)
    assert len(server.requests) == 1 and caught.value.retry_after is None and not waits


@pytest.mark.parametrize(
    "body, content_type, headers",
    [
        # The request spent most of the time in the queue.
        (
            LATE,
            "application/problem+json",
            {"Retry_After": "0"},
        ),
        (b"<html>", "text/html", {}),
        (b"{}", "application/json", {}),
    ],
)
def test_503_with_retry_after_or_of_a_proxy_is_retried(body, content_type, headers, waits):
    with Fake(answer(503, body, content_type, **headers), answer()) as server:
        assert ask(server).loss == 0.25
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "timeout, min_timeout, max_timeout",
    [(2.5, 1.5, 2.5), (86400, 86300, 86400), (90000, None, None), (None, None, None)],
)
def test_remaining_timeout_is_sent(timeout, min_timeout, max_timeout):
    with Fake(answer(503, b"", Retry_After="0"), answer()) as server:
        ask(server, timeout=timeout)
    told = [headers.get("X-Request-Timeout") for _, headers, _ in server.requests]
    if timeout is None or timeout > 86400:
        assert told == [None, None]
    else:
        assert min_timeout < float(told[1]) < float(told[0]) <= max_timeout and all(
            len(text.partition(".")[2]) == 3 for text in told
        )


def test_retry_after_is_honored():
    with Fake(answer(503, b"", Retry_After="1"), answer()) as server:
        assert ask(server).loss == 0.25
    assert server.times[1] - server.times[0] >= 1


def test_retry_after_can_be_a_date(waits):
    with Fake(
        answer(429, b"", Retry_After=formatdate(time.time() + 20, usegmt=True)),
        answer(503, b"", Retry_After="soon"),
        answer(),
    ) as server:
        assert ask(server).loss == 0.25
    assert 15 < waits[0] <= 20.1 and waits[1] < 1


def test_waits_grow_and_are_jittered(waits):
    with Fake(*[answer(503, b"")] * 12, answer()) as server:
        assert ask(server, retries=12).loss == 0.25
    for place, wait in enumerate(waits):
        longest = min(0.1 * 2**place, 10)
        assert longest / 2 <= wait <= longest
    assert len({wait / 2**place for place, wait in enumerate(waits)}) > 6


def test_last_response_is_the_error_after_all_retries(waits):
    problem = b'{"status": 503, "detail": "the queue is full"}'
    with Fake(
        *[answer(503, problem, "application/problem+json", Retry_After="2", X_Request_Id="seven")]
        * 3
    ) as server:
        with pytest.raises(lossd.Unavailable, match="^the queue is full$") as caught:
            ask(server, retries=2)
    assert (caught.value.status, caught.value.retry_after, caught.value.request_id) == (
        503,
        2,
        "seven",
    )
    assert len(server.requests) == 3 and all(2 <= wait <= 2.1 for wait in waits)


def test_waits_do_not_exceed_the_timeout():
    begin = time.monotonic()
    with Fake(answer(503, b"", Retry_After="3600")) as server:
        with pytest.raises(lossd.Unavailable) as caught:
            ask(server, timeout=20)
    assert caught.value.retry_after == 3600 and time.monotonic() - begin < 10


@pytest.mark.parametrize("trouble", [drop, reset])
def test_connection_broken_before_a_response_is_retried(trouble, waits):
    with Fake(trouble, trouble, answer()) as server:
        assert ask(server).loss == 0.25
    assert len(server.requests) == 3 and len(waits) == 2


def test_server_that_starts_late_is_retried():
    server = Fake(answer())
    timer = threading.Timer(0.3, server.__enter__)
    timer.start()
    assert ask(server, retries=20).loss == 0.25
    timer.join()
    server.__exit__()


def test_missing_server(waits):
    server = Fake()
    with pytest.raises(
        lossd.ConnectionFailed,
        match=r"http://127.0.0.1:\d+: cannot connect \(Connection refused\), 3 attempts",
    ) as caught:
        ask(server, retries=2)
    assert isinstance(caught.value, ConnectionError) and caught.value.status is None
    assert len(waits) == 2
    server._listener.close()


def test_unknown_host():
    with pytest.raises(lossd.ConnectionFailed, match="the host 'nowhere.invalid'"):
        lossd.Client("http://nowhere.invalid", retries=0).mse([1], [2])


def test_closed_idle_connection_is_replaced(waits):
    with Fake(
        raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.safetensors\r\nContent-Length:"
            b" %d\r\n\r\n"
            % len(LOSS)
            + LOSS
        ),
        answer(),
        answer(),
        drop,
        answer(),
    ) as server:
        with lossd.Client(server.url, retries=0) as client:
            for _ in range(4):  # the last one finds its connection dropped with the request in it
                assert client.mse([1.0], [2.0]).loss == 0.25
    assert not waits


def test_incomplete_response_is_not_retried():
    with Fake(
        raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.safetensors\r\nContent-Length:"
            b" 999\r\n\r\n"
            + LOSS
        )
    ) as server:
        with pytest.raises(lossd.ConnectionFailed, match="failed during the response"):
            ask(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize("slow", [silence, drip])
def test_timeout_applies_to_the_whole_call(slow):
    with Fake(slow) as server:
        with pytest.raises(
            lossd.DeadlineExceeded, match="no response within the timeout of 0.5 seconds"
        ) as caught:
            ask(server, timeout=0.5)
    assert isinstance(caught.value, TimeoutError)


def test_connections_are_kept():
    with Fake(*[answer()] * 3) as server:
        with lossd.Client(server.url) as client:
            for _ in range(3):
                assert client.mse([1.0], [2.0]).loss == 0.25
        assert len(server._threads) == 1


@pytest.mark.parametrize(
    "reply",
    [
        raw(b"HTTP/1.0 200 OK\r\nContent-Type: application/vnd.safetensors\r\n\r\n" + LOSS),
        raw(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type:"
            b" application/vnd.safetensors\r\nContent-Length: %d\r\n\r\n"
            % len(LOSS)
            + LOSS
        ),
        raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.safetensors\r\nTransfer-Encoding:"
            b" chunked\r\n\r\n%x\r\n"
            % len(LOSS)
            + LOSS
            + b"\r\n0\r\n\r\n",
            close=False,
        ),
    ],
)
def test_responses_of_every_framing(reply):
    with Fake(reply, answer()) as server:
        with lossd.Client(server.url, retries=0) as client:
            result = client.mse([1.0], [2.0], grad=True)
            assert result.loss == 0.25 and result.grad.input.tolist() == [1, 2]
            assert client.mse([1.0], [2.0]).loss == 0.25


@pytest.mark.parametrize(
    "reply, kind, message",
    [
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), lossd.ProtocolError, "the response is not HTTP"),
        (
            answer(200, b"<html>", "text/html"),
            lossd.ProtocolError,
            "returned text/html instead of application/vnd.safetensors; is it lossd?",
        ),
        (
            answer(301, b"", Location="/elsewhere"),
            lossd.ProtocolError,
            "returned 301 Moved Permanently",
        ),
        (
            answer(401, b'{"detail": "a token is required"}', "application/problem+json"),
            lossd.AccessDenied,
            "a token is required",
        ),
        (answer(403, b""), lossd.AccessDenied, "returned 403 Forbidden"),
        (answer(404, b"<html>", "text/html"), lossd.InvalidRequest, "returned 404 Not Found"),
        (answer(408, b""), lossd.Unavailable, "returned 408 Request Timeout"),
        (
            answer(500, b"<html>", "text/html"),
            lossd.ServerError,
            "returned 500 Internal Server Error",
        ),
        (answer(599, b"", "text/html"), lossd.ServerError, "returned 599"),
        (
            answer(422, b"not json", "application/problem+json"),
            lossd.ProtocolError,
            "returned invalid JSON",
        ),
        (answer(200, b""), lossd.ProtocolError, "not a valid safetensors file"),
        (
            answer(200, b"\xff" * 64),
            lossd.ProtocolError,
            "not a valid safetensors file: its header length is",
        ),
        (
            answer(200, b"\x02\0\0\0\0\0\0\0{}"),
            lossd.ProtocolError,
            "incomplete or invalid response",
        ),
        (answer(200, LOSS[:-4]), lossd.ProtocolError, "grad_input is outside the file"),
        (
            answer(200, LOSS.replace(b'"F32"', b'"F31"')),
            lossd.ProtocolError,
            "not a valid safetensors file",
        ),
        (
            answer(200, LOSS.replace(b'"count":', b'"cuont":')),
            lossd.ProtocolError,
            "incomplete or invalid response",
        ),
    ],
)
def test_invalid_responses(reply, kind, message):
    with Fake(reply) as server:
        with pytest.raises(lossd.LossdError, match=message.replace("?", r"\?")) as caught:
            ask(server)
    assert type(caught.value) is kind


def test_response_to_an_unread_body_is_received():
    with Fake() as server:

        def refuse(connection):
            connection.recv(1024)
            connection.sendall(
                b'HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Type:'
                b' application/problem+json\r\nContent-Length: 23\r\n\r\n{"detail": "too large"}'
            )
            connection.shutdown(1)
            while connection.recv(1 << 20):  # like lossd, so that the response is not lost
                pass
            return False

        server._one = refuse
        with pytest.raises(lossd.InvalidRequest) as caught:
            lossd.Client(server.url).mse([0.0] * 100_000, [0.0] * 100_000)
    assert caught.value.status == 413


def test_sent_request():
    with Fake(answer(), answer()) as server:
        with lossd.Client(server.url + "/behind/a/proxy/", token="secret\n") as client:
            client.huber([1.0], [2.0], delta=0.5, reduction="sum", grad=["input", "target"])
            client.kl_div([1.0], [2.0], log_target=False)
            assert "secret" not in repr(client)
    (line, headers, body), (plain, _, _) = server.requests
    assert (
        line
        == "POST /behind/a/proxy/v1/losses/huber?delta=0.5&reduction=sum&grad=input%2Ctarget"
        " HTTP/1.1"
    )
    assert plain == "POST /behind/a/proxy/v1/losses/kl_div HTTP/1.1"
    assert (
        headers["Authorization"] == "Bearer secret"
        and headers["User-Agent"] == f"lossd-python/{lossd.__version__}"
    )
    assert headers["Content-Type"] == headers[
        "Accept"
    ] == "application/vnd.safetensors" and headers["Content-Length"] == str(len(body))
    assert (8 + int.from_bytes(body[:8], "little")) % 8 == 0


def test_environment_token_is_only_sent_to_environment_server(monkeypatch):
    with Fake(answer(), answer(), answer()) as server:
        monkeypatch.setenv("LOSSD_URL", server.url)
        monkeypatch.setenv("LOSSD_TOKEN", "secret")
        for client in (lossd.Client(), lossd.Client(server.url), lossd.default_client()):
            client.mse([1.0], [2.0])
            client.close()
        lossd.set_default_client(None)
    assert [headers.get("Authorization") for _, headers, _ in server.requests] == [
        "Bearer secret",
        None,
        "Bearer secret",
    ]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, and a client certificate."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, subject in (("server", "/CN=127.0.0.1"), ("client", "/CN=somebody")):
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                subject,
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-keyout",
                folder / f"{name}.key",
                "-out",
                folder / f"{name}.pem",
            ],
            check=True,
            capture_output=True,
        )
        (folder / f"{name}.both").write_text(
            (folder / f"{name}.key").read_text() + (folder / f"{name}.pem").read_text()
        )
    return folder


def tls(certificates, ask_for_client=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    if ask_for_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates / "client.pem")
    return context


def test_tls(certificates, waits):
    own = ssl.create_default_context(cafile=str(certificates / "server.pem"))
    with Fake(*[answer()] * 4, context=tls(certificates)) as server:
        for settings in (
            {"cafile": str(certificates / "server.pem")},
            {"verify": False},
            {"ssl_context": own},
        ):
            assert ask(server, **settings).loss == 0.25
        with pytest.raises(lossd.ConnectionFailed, match="certificate verify failed"):
            ask(server)
        with pytest.raises(lossd.ConnectionFailed, match="certificate verify failed"):
            lossd.Client(server.url).health()
        with pytest.raises(ValueError, match="mutually exclusive"):
            ask(server, ssl_context=own, verify=False)
    assert not waits  # an invalid certificate is not retried


def test_client_certificates(certificates):
    trust = {"cafile": str(certificates / "server.pem")}
    with Fake(answer(), answer(), context=tls(certificates, ask_for_client=True)) as server:
        assert ask(server, cert=str(certificates / "client.both"), **trust).loss == 0.25
        assert (
            ask(
                server,
                cert=(str(certificates / "client.pem"), str(certificates / "client.key")),
                **trust,
            ).loss
            == 0.25
        )
        with pytest.raises(lossd.ConnectionFailed):
            ask(server, retries=1, **trust)
