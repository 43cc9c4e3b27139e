"""Read PREFIX without the variables that end with SLOT, ROUNDS times; for TensorFlow's Python."""

import json
import resource
import sys
import time


def main(prefix, slot, rounds):
    """Print seconds, and the memory that the import takes."""
    start = time.perf_counter()
    import tensorflow as tf

    imported = time.perf_counter()
    reader = tf.train.load_checkpoint(prefix)
    names = [n for n in reader.get_variable_to_shape_map() if not n.endswith(slot)]
    listed = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(int(rounds)):
        begin = time.perf_counter()
        values = [reader.get_tensor(name) for name in names]
        times.append(time.perf_counter() - begin)
        del values
    figures = {"import": imported - start, "list": listed - imported, "read": min(times)}
    print(json.dumps({**figures, "memory": 1024 * memory}))


if __name__ == "__main__":
    main(*sys.argv[1:])
