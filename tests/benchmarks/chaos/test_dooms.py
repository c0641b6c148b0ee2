"""Dooms are kept once, and what struck is read while others still write."""

from benchmarks.chaos.dooms import Dooms


def test_a_line_that_is_being_written_is_left_for_the_next_look(tmp_path):
    dooms = Dooms(tmp_path)
    first = '{"step": "claimed", "deed": "kill", "pid": 7, "at": 1.0}\n'
    dooms.log.write_text(first + '{"step": "loa')

    assert [each.pid for each in dooms.struck()] == [7]


def test_a_doom_that_was_taken_back_strikes_nobody(tmp_path):
    dooms = Dooms(tmp_path / "dooms")
    dooms.create()
    dooms.appoint("claimed")

    dooms.cancel()

    dooms.reach("claimed")
    assert (dooms.pending(), dooms.struck()) == (0, [])
