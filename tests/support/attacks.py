"""What pickle makes of a file whose maker wants code to be run."""

from __future__ import annotations

from pathlib import Path


class RunsCode:
    """Writes a file when it is unpickled, and then fails.

    Args:
        proof: The file.
    """

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple:
        return exec, (f"open({str(self.proof)!r}, 'w').close(); raise ValueError('the code ran')",)
