"""ARM without a board: what is made and run, as far as that can be told without an emulator."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusiongcn_edge.benchmarks.arm import device_tests, footprint, sysroot
from fusiongcn_edge.runtime import FusionError

pytestmark = pytest.mark.arm


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_without_a_userland_one_sentence_says_how_to_make_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["check", "--kind", "armhf"])
    assert device_tests.main() == 2
    assert "make it with 'python -m fusiongcn_edge.benchmarks.arm.sysroot --kind armhf'" in capsys.readouterr().err


def test_without_the_tools_one_sentence_says_how_to_get_them(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FusionError, match=r"apt-get install .*qemu-user mmdebstrap"):
        sysroot.make("arm64", tmp_path / "none.whl")
    assert not (sysroot.folder("arm64") / "rootfs").exists()


def test_a_failed_program_is_told_with_what_it_said() -> None:
    with pytest.raises(FusionError, match=r"'ls --all' failed.*(?s:.)*nowhere"):
        sysroot.run("ls", "--all", "/nowhere")


def test_a_kernel_describes_the_emulated_cpu(tmp_path: Path) -> None:
    (tmp_path / "rootfs" / "usr").mkdir(parents=True)
    sysroot._make_board(tmp_path / "pi", tmp_path / "rootfs", "cortex-a72")
    text = (tmp_path / "pi" / "proc" / "cpuinfo").read_text()
    assert "CPU part\t: 0xd08\n" in text
    assert "asimddp" not in text, "it has no dot product"
    count = text.count("processor")
    assert (tmp_path / "pi/sys/devices/system/cpu/present").read_text() == f"0-{count - 1}\n"
    assert (tmp_path / "pi" / "usr").resolve() == tmp_path / "rootfs" / "usr"


@pytest.mark.parametrize("kind", sysroot.KINDS)
def test_pip_is_asked_for_the_wheels_of_the_other_machine(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sysroot, "run", lambda *command: asked.extend(command))
    chosen = sysroot.KINDS[kind]
    sysroot.for_target(chosen, "install", "it")
    assert f"manylinux_2_28_{chosen.machine}" in asked
    assert f"manylinux_2_{chosen.glibc + 1}_{chosen.machine}" not in asked
    assert f"cp{chosen.python.replace('.', '')}" in asked
    assert "--only-binary=:all:" in asked


def test_the_emulators_own_memory_is_not_the_programs() -> None:
    mapping = "{} rw-p 00000000 00:00 0 {}\nSize: 99 kB\nRss: {} kB\nPss: 7 kB\nVmFlags: rd wr\n"
    program = mapping.format("5500000000-5500800000", "", 20) + mapping.format(
        "00400000-00500000", "/usr/bin/python", 3
    )
    emulator = mapping.format("55cfaeb44000-55cfaeb68000", "[heap]", 1000)
    emulator += mapping.format("7f23c6978000-7f23c6ace000", "", 4000)
    assert footprint.emulated_memory(program + emulator) == 23 * 1024
