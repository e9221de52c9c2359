"""The data folder: private, short socket paths, one sentence when it cannot be."""

import os
import stat
from pathlib import Path

import pytest

from tools.local.folder import LONGEST_SOCKET_PATH_BYTES, DataFolder, refuse_without_space
from tools.local.problem import Problem


def test_everything_in_it_is_private(store_folder: Path) -> None:
    folder = DataFolder(store_folder / "d")
    folder.make()
    for made in (folder.root, folder.secrets, folder.logs, folder.run):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_sockets_are_inside_while_the_path_is_short() -> None:
    assert DataFolder(Path("/srv/capstan")).run == Path("/srv/capstan/run")


@pytest.mark.parametrize("length", [60, 90, 200, 1000])
def test_a_long_data_folder_has_its_sockets_elsewhere(length: int) -> None:
    folder = DataFolder(Path("/" + "d" * length))
    longest = folder.run / "postgres" / ".s.PGSQL.5432.lock"
    assert len(os.fsencode(longest)) <= LONGEST_SOCKET_PATH_BYTES
    assert folder.run == DataFolder(Path("/" + "d" * length)).run
    assert folder.run != DataFolder(Path("/" + "d" * length + "e")).run


def test_a_file_in_its_place_is_one_sentence(store_folder: Path) -> None:
    (store_folder / "file").write_text("")
    with pytest.raises(Problem, match="cannot be made"):
        DataFolder(store_folder / "file" / "below").make()


def test_somebody_elses_link_is_not_taken_for_the_socket_folder(
    store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store_folder / "theirs").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(store_folder))
    folder = DataFolder(store_folder / ("d" * 80))
    folder.run.symlink_to(store_folder / "theirs")
    with pytest.raises(Problem, match="belongs to somebody else"):
        folder.make()


def test_only_sockets_are_erased(store_folder: Path) -> None:
    import socket

    folder = DataFolder(store_folder / "erase")
    folder.make()
    (folder.run / "kept").write_text("a file")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder.run / "stale.sock"))
    folder.erase_sockets()
    assert [path.name for path in folder.run.iterdir()] == ["kept"]


def test_too_little_space_says_how_much_is_needed(store_folder: Path) -> None:
    with pytest.raises(Problem, match=r"Only \d+ MB are free .* and \d+ MB are needed"):
        refuse_without_space(store_folder, needed_bytes=1 << 60)
    refuse_without_space(store_folder, needed_bytes=1)
