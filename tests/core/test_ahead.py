"""Results in turn, the next one always under way."""

import threading

import pytest

from kidneyct_lib.core.ahead import one_ahead


def test_results_come_in_turn():
    assert list(one_ahead(lambda x: x * x, range(5))) == [0, 1, 4, 9, 16]
    assert list(one_ahead(abs, [])) == []


def test_the_next_is_made_while_one_is_used_and_no_more():
    begun = {number: threading.Event() for number in range(4)}

    def make(number):
        begun[number].set()
        return number

    results = one_ahead(make, range(4))
    assert next(results) == 0
    assert begun[1].wait(10)  # though nobody has asked for it
    assert not begun[2].is_set()
    assert list(results) == [1, 2, 3]


def test_what_a_call_raises_comes_where_its_result_would():
    results = one_ahead(lambda x: 1 / x, [2, 0, 1])
    assert next(results) == 0.5
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_who_stops_early_leaves_no_thread():
    before = threading.active_count()
    results = one_ahead(abs, range(100))
    next(results)
    assert threading.active_count() == before + 1
    results.close()
    assert threading.active_count() == before
