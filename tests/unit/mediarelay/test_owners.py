from parley.mediarelay.owners import Owners
from parley.model.media import MediaEvent, MediaTimedOut

EVENT = MediaTimedOut("s", "a")


def test_events_go_to_the_newest_stream_of_the_owner() -> None:
    owners, old, new = Owners(), list[MediaEvent](), list[MediaEvent]()
    owners.attach("cm1", old.append)
    owners.take("s", "cm1")
    owners.attach("cm1", new.append)
    owners.detach("cm1", old.append, 1.0)
    owners.tell(EVENT)
    assert (old, new) == ([], [EVENT])


def test_events_wait_for_an_owner_that_is_away() -> None:
    owners, told = Owners(), list[MediaEvent]()
    owners.attach("cm1", told.append)
    owners.take("s", "cm1")
    owners.detach("cm1", told.append, 1.0)
    owners.tell(EVENT)
    assert told == []
    owners.attach("cm1", told.append)
    assert told == [EVENT]


def test_a_successor_gets_the_session_and_what_waits_for_it() -> None:
    owners, former, successor = Owners(), list[MediaEvent](), list[MediaEvent]()
    owners.attach("cm1", former.append)
    owners.take("s", "cm1")
    owners.detach("cm1", former.append, 1.0)
    owners.tell(EVENT)
    owners.attach("cm2", successor.append)
    owners.take("s", "cm2")
    owners.tell(EVENT)
    assert (former, successor) == ([], [EVENT, EVENT])
    assert list(owners.orphans(1000.0, 1.0)) == []


def test_sessions_are_orphans_only_when_their_owner_stays_away() -> None:
    owners, told = Owners(), list[MediaEvent]()
    owners.attach("cm1", told.append)
    owners.take("s", "cm1")
    assert list(owners.orphans(1000.0, 60.0)) == []
    owners.detach("cm1", told.append, 1000.0)
    assert list(owners.orphans(1059.0, 60.0)) == []
    assert list(owners.orphans(1060.0, 60.0)) == ["s"]


def test_a_closed_session_is_nobodys() -> None:
    owners, told = Owners(), list[MediaEvent]()
    owners.attach("cm1", told.append)
    owners.take("s", "cm1")
    owners.forget("s")
    owners.forget("s")
    owners.tell(EVENT)
    assert told == []


def test_the_former_owners_end_does_not_make_an_orphan_of_an_adopted_session() -> None:
    owners, former, successor = Owners(), list[MediaEvent](), list[MediaEvent]()
    owners.attach("cm1", former.append)
    owners.take("s", "cm1")
    owners.attach("cm2", successor.append)
    owners.take("s", "cm2")
    owners.detach("cm1", former.append, 1.0)
    assert list(owners.orphans(1000.0, 1.0)) == []
    owners.tell(EVENT)
    assert (former, successor) == ([], [EVENT])
