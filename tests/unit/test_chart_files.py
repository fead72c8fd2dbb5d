"""What the chart has of `sidegate observability`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from proxy.observability.files import make_files

FILES: Final = Path(__file__).parents[2] / "helm" / "sidegate" / "files"


@pytest.mark.parametrize("name", ["recording-rules.yaml", "alert-rules.yaml", "dashboard.json"])
def test_it_is_what_the_command_makes(name: str) -> None:
    assert (FILES / name).read_text(encoding="utf-8") == make_files()[name], (
        "run: sidegate observability --out helm/sidegate/files"
    )
