"""Turns, what counts and what does not, with a clock that the calls move."""

import gc

import pytest

from snippets.time_in_turns import time_in_turns


class Machine:
    """A clock, and functions that take a given time and are written down."""

    def __init__(self):
        self.now, self.called = 0.0, []

    def taking(self, name, *seconds):
        """A function that takes these times, then the last one always."""
        left = list(seconds)

        def function():
            self.called.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return function

    def clock(self):
        return self.now


def test_functions_take_turns():
    machine = Machine()
    functions = {name: machine.taking(name, 1.0) for name in "ab"}
    time_in_turns(functions, 3, 0, clock=machine.clock)
    assert "".join(machine.called) == "ab" + "ab" * 3


def test_the_first_call_does_not_count():
    machine = Machine()
    functions = {"a": machine.taking("a", 100.0, 2.0)}
    found = time_in_turns(functions, 2, 0, clock=machine.clock)
    assert found["a"].tolist() == [2.0, 2.0]


def test_a_fast_function_is_called_until_the_time_has_passed():
    machine = Machine()
    functions = {"fast": machine.taking("fast", 0.25)}
    found = time_in_turns(functions, 1, 1.0, clock=machine.clock)
    assert found["fast"].tolist() == [0.25]
    assert len(machine.called) == 1 + 4


def test_the_collector_rests_meanwhile_and_works_again_after_an_error():
    seen = []

    def fails():
        seen.append(gc.isenabled())
        if len(seen) == 2:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        time_in_turns({"fails": fails}, 1, 0)
    assert seen == [True, False]
    assert gc.isenabled()
