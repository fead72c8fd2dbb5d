"""Files that options name."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config.files import read_whole


def test_a_file_is_read_up_to_a_bound(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"x" * 1024)
    assert read_whole(str(file), 1024) == b"x" * 1024
    with pytest.raises(ValueError, match=r"a\.txt is larger than 1023B"):
        read_whole(str(file), 1023)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nope\.txt can't be read: No such file"):
        read_whole(str(tmp_path / "nope.txt"), 10)
    with pytest.raises(ValueError, match="can't be read: Is a directory"):
        read_whole(str(tmp_path), 10)
