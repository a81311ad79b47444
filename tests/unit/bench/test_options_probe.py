"""The probe matches answers to questions and times them by the kernel's clock."""

import socket
import time
from collections.abc import Iterator

import pytest
from tests.bench import options_probe
from tests.bench.options_probe import Answers, OptionsProbe

WAIT_S = 0.05
HALF_AN_HOUR_MS = 1_800_000
ANSWER = b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n"


@pytest.fixture(autouse=True)
def every_question_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is while one is sent."""
    monkeypatch.setattr(options_probe, "_SENDING_NS", 10**12)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(5)
        yield bound


def answer(server: socket.socket) -> None:
    question, source = server.recvfrom(65535)
    lines = question.decode().split("\r\n")
    cseq = next(line for line in lines if line.startswith("CSeq:"))
    server.sendto(f"SIP/2.0 200 OK\r\n{cseq}\r\n\r\n".encode(), source)


def test_an_answer_is_timed(server: socket.socket) -> None:
    with OptionsProbe(server.getsockname()) as probe:
        probe.ask()
        answer(server)
        probe.collect(WAIT_S)

    assert (probe.answers.asked, probe.answers.unanswered) == (1, 0)
    assert probe.answers.times_ms[0] > 0


def test_a_question_without_an_answer_is_counted(server: socket.socket) -> None:
    with OptionsProbe(server.getsockname()) as probe:
        probe.ask()
        probe.ask()
        answer(server)
        probe.collect(WAIT_S)

    assert probe.answers.unanswered == 1


def test_a_second_answer_and_what_is_no_answer_are_left_alone(server: socket.socket) -> None:
    with OptionsProbe(server.getsockname()) as probe:
        probe.ask()
        _, source = server.recvfrom(65535)
        server.sendto(ANSWER, source)
        probe.collect(WAIT_S)
        first = dict(probe.answers.times_ms)
        for text in (ANSWER, b"", b"\r\nCSeq:", b"CSeq: x"):
            server.sendto(text, source)
            server.sendto(text, source)
        probe.collect(WAIT_S)

    assert first.keys() == {0}
    assert probe.answers.times_ms == first


def test_an_answer_is_timed_when_it_arrives_and_not_when_it_is_read(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OptionsProbe(server.getsockname()) as probe:
        probe.ask()
        answer(server)
        an_hour_later = time.clock_gettime_ns(time.CLOCK_REALTIME) + 3600 * 10**9
        monkeypatch.setattr(options_probe, "_now_ns", lambda: an_hour_later)
        probe.collect(WAIT_S)

    assert 0 < probe.answers.times_ms[0] < HALF_AN_HOUR_MS


def test_nobody_is_there_where_nobody_answers(server: socket.socket) -> None:
    with OptionsProbe(server.getsockname()) as probe:
        assert not probe.wait_for_server(WAIT_S)
        assert probe.answers == Answers()


def test_percentiles_reach_from_the_median_to_the_longest() -> None:
    answers = Answers({number: float(number) for number in range(100)}, 100)

    assert [answers.percentile(share) for share in (0.5, 0.99, 1)] == [50.0, 99.0, 99.0]
    assert answers.slowest() == 99
    assert Answers().percentile(1) == 0.0
