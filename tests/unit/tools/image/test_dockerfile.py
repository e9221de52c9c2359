"""What every image is held to, read from the Dockerfile: builds are slow, and these rules are not."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
TEXT = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())


def stages() -> dict[str, tuple[str, str]]:
    """Name of each stage to what it is made from and its instructions."""
    starts = list(re.finditer(r"^FROM (\S+) AS (\S+)$", TEXT, re.MULTILINE))
    ends = [found.start() for found in starts[1:]] + [len(TEXT)]
    return {
        found[2]: (
            found[1],
            "\n".join(line for line in TEXT[found.end() : end].splitlines() if line[:1] not in ("", "#")),
        )
        for found, end in zip(starts, ends, strict=True)
    }


STAGES = stages()
FINAL = {"services": "services-packages", "stores": "stores", "engine-cpu": "engine-packages"}
CHECKED = {"services": "services-checked", "engine-cpu": "engine-checked"}


@pytest.mark.parametrize("name", FINAL)
def test_an_image_starts_from_nothing_and_runs_as_nobody(name: str) -> None:
    base, _ = STAGES[FINAL[name]]
    assert base == "python"
    assert name == FINAL[name] or STAGES[name][0] == FINAL[name]
    nothing, said = STAGES[base]
    assert nothing == "scratch"
    assert "USER 65532:65532" in said


@pytest.mark.parametrize("name", FINAL)
def test_an_image_has_a_root_of_its_own_before_anything_else(name: str) -> None:
    first = STAGES[FINAL[name]][1].splitlines()[0]
    assert re.fullmatch(r"COPY --from=\w+-root /root-of-image /", first)


def test_the_services_have_no_program_but_python() -> None:
    assert "--with" not in STAGES["services-root"][1]


def test_what_is_copied_from_packages_was_trimmed_first() -> None:
    for name in ("build", "stores-lib", "engine-lib"):
        assert "tools.image.trim /opt/capstan/" in STAGES[name][1].splitlines()[-1], name


@pytest.mark.parametrize("name", CHECKED)
def test_what_is_in_an_image_was_imported_with_what_else_is_in_it(name: str) -> None:
    assert STAGES[name] == (FINAL[name], f"COPY --from={CHECKED[name]} /opt/capstan/app /opt/capstan/app")
    base, said = STAGES[CHECKED[name]]
    assert base == FINAL[name]
    assert said.splitlines()[-1].startswith('RUN ["python3", "/opt/imports.py", "/opt/capstan/app"')


def test_nothing_is_excused_from_that_but_what_only_an_engine_has() -> None:
    excused = re.search(r'"--without", (.*)\]', STAGES["services-checked"][1])
    assert excused is not None
    assert set(re.findall(r'"(\w+)"', excused[1])) == {"huggingface_hub", "jinja2", "torch", "transformers", "vllm"}


def test_of_kubernetes_client_those_groups_are_there_that_services_ask_for() -> None:
    sources = [path.read_text() for path in (ROOT / "services").rglob("*.py")]
    used = {found for text in sources for found in re.findall(r"\bclient\.(\w+Api)\(", text)}
    modules = {re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() for name in used}
    for stage in ("build", "engine-lib"):
        kept = re.search(r"--kubernetes-api ([\w ]+)$", STAGES[stage][1])
        assert kept is not None
        assert set(kept[1].split()) == modules


def test_every_stage_is_used() -> None:
    named = set(re.findall(r"(?:--from=|^FROM )([a-z-]+)(?=\s)", TEXT, re.MULTILINE))
    assert set(STAGES) - named - {"development", "inference", "stores"} <= {"engine-cpu", "engine-cuda"}


def test_the_context_holds_what_is_copied_and_stays_small() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for line in TEXT.splitlines()
        if line.startswith("COPY ") and "--from=" not in line
        for source, _ in pairwise(line.split()[1:])
    }
    assert {path for path in copied if not any(Path(path).is_relative_to(each) for each in let_in)} == set()
    assert let_in <= copied
