"""TensorFlow's checkpoint files: where they are, what their bytes mean. NumPy and crc32c only.

From the outside in: ``locate`` (with ``archive``, ``state_file``, ``lookalikes``) finds the files;
``bundle`` (V2) and ``v1`` (with ``tensor_proto``) give tensors; both read ``table`` (with
``block``, ``snappy``, ``checksum``), whose values are the protocol buffers of ``messages`` and
``wire``. What is raised in here is documented at `open_checkpoint` and `Checkpoint`.
"""
