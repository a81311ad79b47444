"""Tokens prove once, for a minute and one address, which service opens a connection."""

from parley.service.tokens import LIFE_S, TokenSigner
from parley.testkit.clock import FakeClock

SECRET = b"a secret of the platform"
HERE = "127.0.0.1:5080"
EDGES = frozenset(("edgeproxy",))


def signer(clock: FakeClock, *secrets: bytes, role: str = "edgeproxy") -> TokenSigner:
    return TokenSigner(secrets or (SECRET,), role, clock)


def test_token_is_taken_once() -> None:
    clock = FakeClock()
    token = signer(clock).sign(HERE)
    manager = signer(clock, role="callmanager")

    assert manager.takes(token, HERE, EDGES)
    assert not manager.takes(token, HERE, EDGES)


def test_token_of_another_purpose_role_time_or_secret_is_not_taken() -> None:
    clock = FakeClock()
    manager = signer(clock, role="callmanager")

    assert not manager.takes(signer(clock).sign("127.0.0.1:5081"), HERE, EDGES)
    assert not manager.takes(signer(clock, role="mediarelay").sign(HERE), HERE, EDGES)
    assert not manager.takes(signer(clock, b"another secret of somebody").sign(HERE), HERE, EDGES)
    early, late = FakeClock(), FakeClock()
    early.step_wall(LIFE_S + 2)
    late.step_wall(-LIFE_S - 2)
    assert not manager.takes(signer(early).sign(HERE), HERE, EDGES)
    assert not manager.takes(signer(late).sign(HERE), HERE, EDGES)


def test_token_that_was_tampered_with_is_not_taken() -> None:
    clock = FakeClock()
    manager = signer(clock, role="callmanager")
    token = signer(clock).sign(HERE)

    for place in range(len(token)):
        other = "0" if token[place] != "0" else "1"
        assert not manager.takes(token[:place] + other + token[place + 1 :], HERE, EDGES)
    for wrong in ("", ".", "...", "edgeproxy", token + "x" * 200, token.replace(".", "\xb2", 1)):
        assert not manager.takes(wrong, HERE, EDGES)
    assert manager.takes(token, HERE, EDGES)


def test_secret_can_be_changed_without_a_gap() -> None:
    clock = FakeClock()
    old, new = b"the old secret of all", b"the new secret of all"

    assert signer(clock, old, new).takes(signer(clock, new, old).sign(HERE), HERE, EDGES)
    assert signer(clock, new, old).takes(signer(clock, old, new).sign(HERE), HERE, EDGES)


def test_used_tokens_are_forgotten_when_they_have_expired() -> None:
    clock = FakeClock()
    edge, manager = signer(clock), signer(clock, role="callmanager")
    for _ in range(100):
        assert manager.takes(edge.sign(HERE), HERE, EDGES)
        clock.advance(LIFE_S)

    assert len(manager._used) <= 4
