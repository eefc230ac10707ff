"""Who is refused after crashes: hand-made orders of events, among them a connection seen to break after the crash."""

from __future__ import annotations

from toolkit.supervise.quarantine import Quarantine


def test_the_one_common_to_both_crashes_is_refused_and_no_other() -> None:
    quarantine = Quarantine(2)
    poison, first, second = (quarantine.mark(word) for word in (b"poison", b"first", b"second"))
    for good in (first, second):
        places = [(mark, quarantine.enter(mark)) for mark in (poison, good)]
        for mark, entered in places:
            quarantine.leave(mark, entered, answered=False, broken=True)
        assert quarantine.crashed() == 2
    assert [quarantine.refuses(mark) for mark in (poison, first, second)] == [True, False, False]


def test_a_connection_seen_to_break_after_its_crash_does_not_count_at_the_next() -> None:
    """Else `good` would be common to both crashes too, and neither could be told from the other."""
    quarantine = Quarantine(2)
    poison, good = quarantine.mark(b"poison"), quarantine.mark(b"good")
    of_poison, of_good = quarantine.enter(poison), quarantine.enter(good)
    assert quarantine.crashed() == 2
    quarantine.leave(poison, of_poison, answered=False, broken=True)
    other = quarantine.mark(b"other")
    of_poison, of_other = quarantine.enter(poison), quarantine.enter(other)
    quarantine.leave(good, of_good, answered=False, broken=True)
    assert quarantine.crashed() == 2
    quarantine.leave(poison, of_poison, answered=False, broken=True)
    quarantine.leave(other, of_other, answered=False, broken=True)
    assert (quarantine.refuses(poison), quarantine.refuses(good)) == (True, False)


def test_one_that_was_alone_at_one_of_two_crashes_is_refused() -> None:
    quarantine = Quarantine(2)
    poison, twin = quarantine.mark(b"poison"), quarantine.mark(b"twin")
    for inside in ((poison, twin), (poison,)):
        for mark in inside:
            quarantine.enter(mark)
        quarantine.crashed()
    assert (quarantine.refuses(poison), quarantine.refuses(twin)) == (True, False)


def test_an_answer_clears_a_suspect() -> None:
    quarantine = Quarantine(1)
    mark = quarantine.mark(b"good")
    quarantine.enter(mark)
    quarantine.crashed()
    assert quarantine.refuses(mark)
    quarantine.leave(mark, quarantine.enter(mark), answered=True, broken=False)
    assert not quarantine.refuses(mark)
