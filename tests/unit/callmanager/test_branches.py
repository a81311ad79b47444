"""Branches that name their call."""

from hypothesis import given
from hypothesis import strategies as st

from parley.callmanager.branches import read_branch, request_branch

tokens = st.text("abcXYZ019-_.", min_size=1, max_size=40)


@given(call_id=tokens, epoch=st.integers(0, 10**9), key=st.integers(0, 10**9))
def test_a_branch_is_read_as_it_was_written(call_id: str, epoch: int, key: int) -> None:
    read = read_branch(request_branch(call_id, epoch, key))
    assert read is not None
    assert read == (call_id, epoch, key)


@given(st.text())
def test_other_branches_name_no_call(text: str) -> None:
    assert read_branch(text) is None or text.startswith("z9hG4bK-")
    for branch in ("z9hG4bKabc", "z9hG4bK-1-2", "z9hG4bK--1-2", "z9hG4bK-c-1-x", "z9hG4bK-c-٣-1"):
        assert read_branch(branch) is None
