"""Where a model's files are, and what names a model's answers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.inference.fingerprint import fingerprint
from services.inference.model_source import ModelNotFoundError, model_folder


def make_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"\0" * 300_000)
    return folder


def test_a_folder_is_itself(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    assert model_folder(str(folder)) == str(folder)


def test_a_package_is_found_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model(tmp_path / "a_model_package" / "files" / "model")
    (tmp_path / "a_model_package" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert model_folder("package://a_model_package/files/model") == str(folder)
    assert "a_model_package" not in sys.modules


@pytest.mark.parametrize("source", ["/nowhere", "package://no_such_package/model", "package://json/model", "./here"])
def test_what_is_not_there_is_said(source: str) -> None:
    with pytest.raises(ModelNotFoundError):
        model_folder(source)


@pytest.mark.parametrize("source", ["no-one/no-model", "not a name"])
def test_a_name_that_is_not_in_the_cache_is_not_downloaded(source: str) -> None:
    pytest.importorskip("huggingface_hub")
    with pytest.raises(ModelNotFoundError, match="Hugging Face cache"):
        model_folder(source)


def test_a_fingerprint_changes_with_what_decides_the_answers(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    before = fingerprint(str(folder), "vllm 1", "bfloat16")
    assert before == fingerprint(str(folder), "vllm 1", "bfloat16")
    assert before.startswith("fp_")
    others = {fingerprint(str(folder), "vllm 2", "bfloat16"), fingerprint(str(folder), "vllm 1", "float32")}
    (folder / "README.md").write_text("hello")
    assert fingerprint(str(folder), "vllm 1", "bfloat16") == before
    for place in (0, 299_999):
        content = bytearray(300_000)
        content[place] = 1
        (folder / "model.safetensors").write_bytes(content)
        others.add(fingerprint(str(folder), "vllm 1", "bfloat16"))
    assert before not in others
    assert len(others) == 4
