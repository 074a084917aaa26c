"""Does what the README shows run, as it stands, one block after another?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_the_blocks_of_the_readme_run_one_after_another(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = README.read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) > 5
    namespace: dict[str, object] = {"__name__": "readme"}
    for block in blocks:
        before = text[: text.index(block)].count("\n")  # so that an error names the README's own line
        exec(compile("\n" * before + block, str(README), "exec"), namespace)
    printed = capsys.readouterr().out
    assert "certificate: holds" in printed
    assert namespace["culture"] is not None


def test_a_culture_from_parts_takes_at_most_25_lines():
    block = re.search(r"^culture = FedBatch\(\n.*?^\)", README.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert block is not None
    assert block[0].count("\n") + 1 <= 25
