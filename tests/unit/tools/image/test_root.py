"""What the tools of the system say, read; and links, which an image gets as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.image.root import ACCOUNTS, Root, linked, machine_code, owners

LDD = """\
\tlinux-vdso.so.1 (0x00007f1267e7b000)
\tlibnuma.so.1 => /lib/x86_64-linux-gnu/libnuma.so.1 (0x00007f1265ad2000)
\tlibc10.so => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f1267e7d000)
"""
DPKG = """\
diversion by dash from: /bin/sh
diversion by dash to: /bin/sh.distrib
dash: /bin/sh
libssl3:amd64, openssl: /etc/ssl
coreutils: /bin/cat
"""


def test_what_ldd_found_is_told_from_what_it_did_not() -> None:
    found, missing = linked(LDD)
    assert found == {Path("/lib/x86_64-linux-gnu/libnuma.so.1"), Path("/lib64/ld-linux-x86-64.so.2")}
    assert missing == {"libc10.so"}


def test_a_program_without_libraries_needs_none() -> None:
    assert linked("\tstatically linked\n") == (set(), set())


def test_files_are_of_packages_and_diversions_are_none() -> None:
    assert owners(DPKG) == {"dash", "libssl3:amd64", "openssl", "coreutils"}


def test_a_link_is_carried_as_the_file_that_it_names_and_once(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "libz.so.1.2").write_text("machine code")
    (source / "libz.so.1").symlink_to("libz.so.1.2")
    (source / "gone").symlink_to("nowhere")
    root = Root(tmp_path / "root")
    root.carry(source)
    carried = tmp_path / "root" / (source / "libz.so.1").relative_to("/")
    assert carried.read_text() == "machine code"
    assert not carried.is_symlink()
    assert not carried.with_name("gone").exists()


def test_only_two_accounts_exist(tmp_path: Path) -> None:
    Root(tmp_path).write_accounts()
    assert (tmp_path / "etc/passwd").read_text().count("\n") == 2
    assert "capstan:x:65532:65532:" in ACCOUNTS["passwd"]
    assert oct((tmp_path / "tmp").stat().st_mode)[-4:] == "1777"


@pytest.mark.parametrize(("name", "kind", "counts"), [("program", 2, True), ("a.so", 3, True), ("part.o", 1, False)])
def test_programs_count_as_machine_code_and_parts_of_one_do_not(
    tmp_path: Path, name: str, kind: int, counts: bool
) -> None:
    (tmp_path / name).write_bytes(b"\x7fELF" + bytes(12) + bytes([kind]) + bytes(100))
    (tmp_path / "readme.txt").write_text("ELF")
    assert list(machine_code([tmp_path])) == ([tmp_path / name] if counts else [])
