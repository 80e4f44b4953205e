"""What a refused request must look like to somebody who uses the SDK."""

from contextlib import contextmanager

import anthropic
import pytest


@contextmanager
def refused(error, *named: str, code: str | None = None):
    """Expects an error of this class (or one of these) whose message names each of `named`, in any case."""
    with pytest.raises(anthropic.APIStatusError) as caught:
        yield caught
    given = caught.value
    assert isinstance(given, error), f"{type(given).__name__}: {given}"
    assert given.error_code == code
    missing = [word for word in named if word.lower() not in given.api_message.lower()]
    assert not missing, f"{given.api_message!r} does not name {missing}"
