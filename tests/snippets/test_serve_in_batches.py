"""A server whose batches, answers and errors can be foretold."""

import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest

from snippets.serve_in_batches import serve_in_batches

# Seconds in which an answer must come, on however slow a machine.
PATIENCE = 30


class Model:
    """Doubles its inputs; keeps the batches; can be held and released."""

    def __init__(self, held=False):
        self.batches = []
        self.entered = threading.Event()
        self.may_go = threading.Event()
        if not held:
            self.may_go.set()

    def __call__(self, inputs):
        self.batches.append(list(inputs))
        self.entered.set()
        assert self.may_go.wait(PATIENCE)
        return [2 * x for x in inputs]


def results(futures):
    return [future.result(PATIENCE) for future in futures]


def test_every_request_gets_its_own_answer():
    model = Model()
    with serve_in_batches(model, 8, 0.001) as submit:
        futures = [submit(number) for number in range(100)]
        assert results(futures) == [2 * number for number in range(100)]
    assert sum(model.batches, []) == list(range(100))


def test_requests_from_many_threads_get_their_own_answers():
    answers = {}

    def ask(first):
        for number in range(first, first + 50):
            answers[number] = submit(number).result(PATIENCE)

    with serve_in_batches(Model(), 4, 0.001) as submit:
        threads = [
            threading.Thread(target=ask, args=(1000 * each,))
            for each in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 250
    assert all(answer == 2 * x for x, answer in answers.items())


@pytest.mark.parametrize("max_wait_seconds", [0, 0.001, 1000])
def test_what_came_while_the_model_was_busy_is_a_batch(max_wait_seconds):
    model = Model(held=True)
    with serve_in_batches(model, 3, max_wait_seconds) as submit:
        # The model holds one batch, and seven requests wait behind it.
        count = 3 if max_wait_seconds == 1000 else 1
        futures = [submit(number) for number in range(count)]
        assert model.entered.wait(PATIENCE)
        futures += [submit(number) for number in range(count, count + 7)]
        model.may_go.set()
    assert results(futures) == [2 * number for number in range(count + 7)]
    assert [len(batch) for batch in model.batches] == [count, 3, 3, 1]


def test_one_at_a_time():
    model = Model()
    with serve_in_batches(model, 1, 1000) as submit:
        results([submit(number) for number in range(5)])
    assert model.batches == [[0], [1], [2], [3], [4]]


def test_a_full_batch_does_not_wait():
    with serve_in_batches(Model(), 4, 1000) as submit:
        assert results([submit(number) for number in range(8)]) == [
            2 * number for number in range(8)
        ]


def test_a_request_waits_for_others_until_its_deadline_and_no_longer():
    model = Model()
    with serve_in_batches(model, 100, 0.3) as submit:
        start = time.perf_counter()
        first = submit(1)
        time.sleep(0.05)
        second = submit(2)
        assert results([first, second]) == [2, 4]
        taken = time.perf_counter() - start
    assert model.batches == [[1, 2]]
    # From the first request, not from the last that joined it.
    assert 0.3 <= taken < PATIENCE


def test_a_deadline_that_passed_while_the_model_was_busy_adds_no_wait():
    model = Model(held=True)
    with serve_in_batches(model, 2, 0.2) as submit:
        first = [submit(0), submit(1)]
        assert model.entered.wait(PATIENCE)
        waiting = submit(2)
        time.sleep(0.3)
        start = time.perf_counter()
        model.may_go.set()
        waiting.result(PATIENCE)
        assert time.perf_counter() - start < 0.2
        results(first)


def test_an_error_goes_to_every_request_of_its_batch_and_no_other():
    def predict(inputs):
        if len(inputs) == 1:
            return inputs
        raise ArithmeticError("too many")

    with serve_in_batches(predict, 2, 1000) as submit:
        wrong = [submit(1), submit(2)]
        for future in wrong:
            with pytest.raises(ArithmeticError, match="too many"):
                future.result(PATIENCE)
        # The server is still there; the end of the context sends this one.
        right = submit(3)
    assert right.result(PATIENCE) == 3


def test_even_an_exit_does_not_leave_a_caller_waiting():
    def predict(inputs):
        raise SystemExit

    with serve_in_batches(predict, 1) as submit:
        with pytest.raises(SystemExit):
            submit(1).result(PATIENCE)


def test_too_few_outputs_are_an_error():
    with serve_in_batches(lambda inputs: inputs[1:], 2, 1000) as submit:
        futures = [submit(1), submit(2)]
        with pytest.raises(ValueError, match="1 outputs for 2 inputs"):
            futures[0].result(PATIENCE)


def test_the_end_answers_all_and_takes_no_more():
    before = threading.active_count()
    with serve_in_batches(Model(), 4, 1000) as submit:
        futures = [submit(number) for number in range(6)]
    assert results(futures) == [0, 2, 4, 6, 8, 10]
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="has stopped"):
        submit(7)


def test_an_error_in_the_block_ends_the_thread_too():
    before = threading.active_count()
    with pytest.raises(KeyError):
        with serve_in_batches(Model(), 4) as submit:
            future = submit(1)
            raise KeyError
    assert future.result(PATIENCE) == 2
    assert threading.active_count() == before


def test_a_cancelled_request_is_not_computed():
    model = Model(held=True)
    with serve_in_batches(model, 2) as submit:
        first = submit(0)
        assert model.entered.wait(PATIENCE)
        dropped, kept = submit(1), submit(2)
        assert dropped.cancel()
        model.may_go.set()
    assert results([first, kept]) == [0, 4]
    assert model.batches == [[0], [2]]
    with pytest.raises(CancelledError):
        dropped.result(PATIENCE)


def test_rows_of_an_array_are_outputs():
    with serve_in_batches(lambda inputs: np.stack(inputs) + 1, 4) as submit:
        answer = submit(np.arange(3.0)).result(PATIENCE)
    np.testing.assert_array_equal(answer, [1, 2, 3])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((None, 4, 0), "predict=None"),
        ((Model(), 0, 0), "max_batch_size=0"),
        ((Model(), 2.5, 0), "max_batch_size=2.5"),
        ((Model(), 4, -1), "max_wait_seconds=-1"),
        ((Model(), 4, float("nan")), "max_wait_seconds=nan"),
        ((Model(), 4, float("inf")), "max_wait_seconds=inf"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_once(arguments, message):
    before = threading.active_count()
    with pytest.raises(ValueError, match=message):
        serve_in_batches(*arguments)
    assert threading.active_count() == before
