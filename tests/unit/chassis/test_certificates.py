"""Certificates are read whole, and again when somebody renewed them."""

from pathlib import Path

import pytest

from chassis.certificates import LOOK_INTERVAL_S, NAMES, CertificateFolder


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def write(folder: Path, text: str) -> None:
    """As Kubernetes does it: the files are links through a folder that is replaced at once."""
    version = folder / f"..{text}"
    version.mkdir(parents=True)
    for name in NAMES:
        (version / name).write_text(f"{text} {name}")
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)
    link = folder / "..new"
    link.symlink_to(version.name)
    link.rename(folder / "..data")


def test_files_that_stay_the_same_are_read_once(tmp_path: Path) -> None:
    time = Time()
    write(tmp_path, "first")
    folder = CertificateFolder(tmp_path, time)
    time.now = 2 * LOOK_INTERVAL_S
    generation, held = folder.current()
    assert (generation, held.chain, held.authority) == (0, b"first tls.crt", b"first ca.crt")


def test_a_renewal_is_seen_at_the_next_look_and_not_before(tmp_path: Path) -> None:
    time = Time()
    write(tmp_path, "first")
    folder = CertificateFolder(tmp_path, time)
    write(tmp_path, "second")
    assert folder.current()[0] == 0
    time.now = LOOK_INTERVAL_S
    generation, held = folder.current()
    assert (generation, held.chain, held.key) == (1, b"second tls.crt", b"second tls.key")


def test_a_set_with_a_file_missing_is_not_taken(tmp_path: Path) -> None:
    time = Time()
    write(tmp_path, "first")
    folder = CertificateFolder(tmp_path, time)
    write(tmp_path, "second")
    (tmp_path / "tls.key").unlink()
    time.now = LOOK_INTERVAL_S
    generation, held = folder.current()
    assert (generation, held.chain) == (0, b"first tls.crt")


def test_a_folder_without_certificates_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        CertificateFolder(tmp_path, Time())


def test_a_key_is_not_in_the_words_of_its_holder(tmp_path: Path) -> None:
    write(tmp_path, "first")
    assert "first tls.key" not in repr(CertificateFolder(tmp_path, Time()).current())
