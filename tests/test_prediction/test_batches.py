"""Batches of equal keys, and work done ahead, both with a bounded number of items in memory."""

from concurrent.futures import ThreadPoolExecutor

from mmseg_deeplab_ext.prediction.batches import batches, bounded_map


def test_a_batch_holds_items_of_one_key_and_nothing_is_lost():
    items = ["a1", "b1", "a2", "a3", "b2", "a4"]
    gathered = list(batches(items, size=2, key=lambda item: item[0]))
    assert gathered == [["a1", "a2"], ["b1", "b2"], ["a3", "a4"]]
    assert list(batches(items[:4], size=3, key=lambda item: item[0])) == [
        ["a1", "a2", "a3"],
        ["b1"],
    ]


def test_few_items_wait_when_all_keys_differ():
    taken = []

    def numbers():
        for number in range(100):
            taken.append(number)
            yield number

    for done, batch in enumerate(batches(numbers(), size=2, key=lambda number: number)):
        assert len(batch) == 1
        assert len(taken) - done <= 8
    assert len(taken) == 100


def test_work_ahead_keeps_the_order_and_does_not_run_away():
    taken = []

    def numbers():
        for number in range(50):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(3) as pool:
        for expected, result in enumerate(bounded_map(pool, lambda n: 2 * n, numbers(), at_once=5)):
            assert result == 2 * expected
            assert len(taken) - expected <= 5
    assert len(taken) == 50
