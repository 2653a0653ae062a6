"""Where a PIN comes from, and when it is not tried (T7)."""

from pathlib import Path

import pytest

from hsm.pin import NoPin, PinGate, pin_file


def write(file: Path, pin: str, mode: int = 0o600) -> Path:
    file.write_text(pin)
    file.chmod(mode)
    return file


def test_a_credential_comes_before_the_folders_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    write(tmp_path / "pin", "of the folder\n")
    assert pin_file(tmp_path)() == "of the folder"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert pin_file(tmp_path)() == "of the folder"
    write(credentials / "pin", "of systemd")
    assert pin_file(tmp_path)() == "of systemd"
    assert pin_file(tmp_path, write(tmp_path / "given", "given"))() == "given"


@pytest.mark.parametrize("content", ["", "\n", "a\0b", "x" * 2000])
def test_what_is_no_pin_is_not_tried(tmp_path: Path, content: str) -> None:
    write(tmp_path / "pin", content)
    with pytest.raises(NoPin):
        pin_file(tmp_path)()


def test_a_pin_that_everybody_may_read_is_not_used(tmp_path: Path) -> None:
    write(tmp_path / "pin", "1234", 0o644)
    with pytest.raises(NoPin):
        pin_file(tmp_path)()


def test_no_pin_at_all(tmp_path: Path) -> None:
    with pytest.raises(NoPin):
        pin_file(tmp_path)()


def test_a_refused_pin_stays_refused_until_another_one_is_there(tmp_path: Path) -> None:
    PinGate(tmp_path).trying("1234")
    PinGate(tmp_path).refused("1234", "PinIncorrect")
    assert not PinGate(tmp_path).may_try("1234")
    assert PinGate(tmp_path).may_try("4321")
    state = (tmp_path / "pin-tried.json").read_text()
    assert "1234" not in state
    PinGate(tmp_path).accepted()
    assert PinGate(tmp_path).may_try("1234")


def test_a_driver_that_dies_in_the_middle_of_tries_is_not_let_go_on(tmp_path: Path) -> None:
    for _ in range(3):
        assert PinGate(tmp_path).may_try("1234")
        PinGate(tmp_path).trying("1234")
    assert not PinGate(tmp_path).may_try("1234")


def test_a_state_that_cannot_be_read_lets_nothing_through(tmp_path: Path) -> None:
    (tmp_path / "pin-tried.json").write_text("{")
    assert not PinGate(tmp_path).may_try("1234")
