"""What a call puts out, by itself."""

import pytest

from parley.callmanager.outputs import JOIN_WRITE_S, Deadline, Outputs


def test_calls_that_may_wait_with_their_writes_write_at_the_same_moment() -> None:
    begun = (10.01, 10.05, 10.09)
    calls = [Outputs(f"call-{n}", 1) for n in range(len(begun))]
    for call, now in zip(calls, begun, strict=True):
        call.join_write(now)
    moments = [call.deadlines[Deadline.JOIN_WRITE] for call in calls]
    assert moments == [pytest.approx(10.3)] * 3
    assert min(begun) + JOIN_WRITE_S < 10.3 < min(begun) + JOIN_WRITE_S + 0.1


def test_a_write_that_is_awaited_already_is_not_put_off() -> None:
    out = Outputs("call", 1)
    out.join_write(10.01)
    out.join_write(10.25)
    assert out.deadlines == {Deadline.JOIN_WRITE: pytest.approx(10.3)}
