"""``OLD=NEW``: variables of a file whose scopes were renamed, under their official names."""

from __future__ import annotations

from typing import Collection, Sequence

from mmseg_deeplab_ext.errors import CheckpointMismatchError


def official_names(names: Collection[str], scopes: Sequence[str]) -> dict[str, str]:
    """Map the names in a file.

    Args:
        names: of the file's variables.
        scopes: ``OLD=NEW``: what is in the scope OLD is in NEW officially, or, where NEW is empty,
            in no scope. The first that fits a name maps it.

    Returns:
        Official name -> name in the file.

    Raises:
        CheckpointMismatchError: one has another form or maps nothing, or two variables get one
            name.
    """
    pairs = []
    for each in scopes:
        old, equals, new = each.partition("=")
        old, new = old.strip("/"), new.strip("/")
        if not equals or not old:
            raise CheckpointMismatchError(f"scope {each!r} should be OLD=NEW, or OLD= for none")
        if not any(name.startswith(f"{old}/") for name in names):
            raise CheckpointMismatchError(
                f"scope {each!r}: the file has nothing in {old}; its scopes are "
                f"{', '.join(sorted({name.partition('/')[0] for name in names})[:12])}"
            )
        pairs.append((f"{old}/", f"{new}/" if new else ""))
    result: dict[str, str] = {}
    for name in names:
        old, new = next((pair for pair in pairs if name.startswith(pair[0])), ("", ""))
        official = new + name[len(old) :]
        if official in result:
            raise CheckpointMismatchError(
                f"scope {', '.join(scopes)}: {name} and {result[official]} would both be {official}"
            )
        result[official] = name
    return result
