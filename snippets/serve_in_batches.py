# --8<-- [start:serve_in_batches]
import contextlib
import math
import queue
import threading
import time
from concurrent.futures import Future


def serve_in_batches(predict, max_batch_size, max_wait_seconds=0.0):
    """Answers single requests by a model that is called with batches.

        with serve_in_batches(predict, 32) as submit:
            answer = submit(x).result()

    predict: list of inputs -> as many outputs, in their order. It runs in one
        thread, one call at a time. Stack the inputs in it, and pad them where
        they need it.
    max_batch_size: the most inputs of a call.
    max_wait_seconds: how long a request may wait for others to join it, from
        when it was submitted. With 0 the server never waits: a batch is what
        has come in while the model was busy.
    Returns a context manager. It gives `submit`, which may be called from any
    thread and returns a concurrent.futures.Future. Leaving the context
    answers all that was submitted, then ends the thread.
    An error of predict goes to every request of that batch, and the server
    goes on. ValueError for settings that it cannot use, and for a predict
    that returns another number of outputs; RuntimeError for a request after
    the end.
    """
    if not callable(predict):
        raise ValueError(f"predict={predict!r} must be a function")
    if max_batch_size != int(max_batch_size) or max_batch_size < 1:
        raise ValueError(
            f"max_batch_size={max_batch_size} must be a whole number of at "
            "least 1"
        )
    if not (max_wait_seconds >= 0 and math.isfinite(max_wait_seconds)):
        raise ValueError(
            f"max_wait_seconds={max_wait_seconds} must be 0 or more, and finite"
        )
    requests, end = queue.Queue(), object()
    lock, open_to_all = threading.Lock(), [True]

    def submit(x):
        future = Future()
        # No request may come behind the end, where nobody would answer it.
        with lock:
            if not open_to_all[0]:
                raise RuntimeError("the server has stopped")
            requests.put((time.perf_counter(), x, future))
        return future

    def collect():
        """The next batch, and whether it is the last."""
        request = requests.get()
        if request is end:
            return [], True
        batch, deadline = [request], request[0] + max_wait_seconds
        while len(batch) < max_batch_size:
            left = deadline - time.perf_counter()
            try:
                # What is there already is taken, however late it is.
                request = requests.get(left > 0, max(left, 0))
            except queue.Empty:
                break
            if request is end:
                return batch, True
            batch.append(request)
        return batch, False

    def answer(batch):
        # A caller may have cancelled in the meantime.
        batch = [
            (x, future)
            for _, x, future in batch
            if future.set_running_or_notify_cancel()
        ]
        if not batch:
            return
        inputs, futures = zip(*batch)
        try:
            outputs = list(predict(list(inputs)))
            if len(outputs) != len(inputs):
                raise ValueError(
                    f"predict returned {len(outputs)} outputs for "
                    f"{len(inputs)} inputs"
                )
        # Whatever it is, a caller waits for it, and none may wait for ever.
        except BaseException as error:
            for future in futures:
                future.set_exception(error)
        else:
            for future, output in zip(futures, outputs):
                future.set_result(output)

    def serve():
        last = False
        while not last:
            batch, last = collect()
            answer(batch)

    @contextlib.contextmanager
    def running():
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield submit
        finally:
            with lock:
                open_to_all[0] = False
                requests.put(end)
            thread.join()

    return running()


# --8<-- [end:serve_in_batches]
