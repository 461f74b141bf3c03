"""``fusiongcn benchmark``: what it keeps, what it marks invalid, and what it refuses. No time counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusiongcn_edge.benchmarks.cost.analytic import published_convention
from fusiongcn_edge.benchmarks.latency import device, power, runner
from fusiongcn_edge.benchmarks.report.schema import Benchmark, read_saved
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.io.images import write_image

pytestmark = pytest.mark.process

Cli = Callable[..., tuple[int, str, str]]
FILES = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Cortex-A76\n\nprocessor\t: 1\nmodel name\t: Cortex-A76\n",
    "proc/meminfo": "MemTotal:        8000 kB\nMemFree:         1 kB\n",
    "proc/loadavg": "0.10 0.20 0.30 1/99 1234\n",
    "proc/stat": "cpu  100 0 100 5000 0 0 0 0 0 0\ncpu0 1 2\n",
    "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "51234",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "2400000",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq": "2400000",
    "sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq": "2400000",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3",
}


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up board's /sys and /proc, with no firmware to ask."""
    root = tmp_path / "board"
    put(root, FILES)
    monkeypatch.setattr(device, "vcgencmd", lambda *_: "")
    monkeypatch.setattr(power, "vcgencmd", lambda *_: "")
    return root


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, board: Path) -> None:
    """Few runs, on the made-up board."""
    for name, value in {"WARM_UP_SECONDS": 0, "ENOUGH_SECONDS": 0, "LEAST_RUNS": 2, "IDLE_SECONDS": 0.01}.items():
        monkeypatch.setattr(runner, name, value)
    original = runner.measure
    monkeypatch.setattr(runner, "measure", lambda *args, **options: original(*args, **{**options, "root": board}))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main(["benchmark", *map(str, arguments)])
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def written(path: Path) -> dict[str, Any]:
    """What was written, which can be read back."""
    found = read_saved(path)
    assert isinstance(found, Benchmark)
    return found.report


def test_a_device_is_described(board: Path) -> None:
    found = device.facts(board)
    assert (found["model"], found["cpu"]) == ("Raspberry Pi 5 Model B Rev 1.0", "Cortex-A76")
    assert (found["memory_bytes"], found["governor"], found["highest_mhz"]) == (8_192_000, "ondemand", 2400.0)
    assert found["os"] == "Debian GNU/Linux 12"
    assert {"numpy", "onnxruntime"} <= set(found["libraries"])
    now = device.condition(board)
    assert now["celsius"] == {"thermal_zone0 cpu-thermal": 51.234}
    assert (now["mhz"], now["allowed_mhz"], now["load_average"], now["throttle_count"]) == (2400, 2400, 0.1, 3)
    assert now["throttled"] is None


def test_a_system_that_tells_nothing_is_described_as_that(tmp_path: Path) -> None:
    assert device.facts(tmp_path)["model"].endswith("host")
    now = device.condition(tmp_path)
    known = {"own_seconds": now["own_seconds"], "celsius": {}, "throttled": now["throttled"]}
    assert now == dict.fromkeys(now) | known
    assert device.disturbances(now, now, 10, 4) == []
    assert power.ina3221_watts(tmp_path) is None


@pytest.mark.parametrize(
    ("earlier", "later", "reason"),
    [
        ({}, {}, None),
        ({"load_average": 2.2}, {}, "load average 2.20 on 4 cores"),
        ({"load_average": 1.9}, {}, None),
        ({}, {"busy_seconds": 130.0, "own_seconds": 1.0}, "other programs kept 2.9 of 4 cores busy"),
        ({}, {"busy_seconds": 130.0, "own_seconds": 25.0}, None),  # mostly ourselves
        ({"throttled": 0}, {"throttled": 0x50005}, "get_throttled=0x50005"),
        ({"throttled": 0x50000}, {"throttled": 0x50000}, None),  # long before
        ({"throttled": 0x10000}, {"throttled": 0x50000}, "throttled meanwhile"),
        ({}, {"throttle_count": 5}, "throttled 2 times"),
        ({}, {"allowed_mhz": 1500.0}, "fell from 2400 to 1500 MHz"),
    ],
)
def test_disturbances_are_noticed(
    board: Path, earlier: dict[str, Any], later: dict[str, Any], reason: str | None
) -> None:
    usual = {**device.condition(board), "busy_seconds": 100.0, "own_seconds": 0.0}
    found = device.disturbances({**usual, **earlier}, {**usual, **later}, 10.0, 4)
    assert [reason in text for text in found] == [True] if reason else found == []


def test_a_falling_clock_is_noticed() -> None:
    assert device.clock_fell([]) is None
    assert device.clock_fell([2400, 2350, 2400, 2390]) is None
    assert device.clock_fell([2400.0] * 8 + [1500.0, 1400.0]) == "the clock fell from 2400 to 1500 MHz"


def test_the_firmware_is_asked_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "vcgencmd"
    program.write_text('#!/bin/sh\necho "throttled=0x50000"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert device.condition(tmp_path)["throttled"] == 0x50000


def test_the_rails_of_a_pi_5_are_added_up() -> None:
    text = """   3V3_SYS_A current(1)=0.10A\n  VDD_CORE_A current(7)=2.0A\n 3V3_SYS_V volt(9)=3.3V
     VDD_CORE_V volt(15)=0.8V\n  EXT5V_V volt(24)=5.1V\n"""
    assert power.pmic_watts(text) == pytest.approx(0.33 + 1.6)
    assert power.pmic_watts("error=1") is None


def test_a_jetsons_whole_board_is_read_and_nothing_twice(board: Path) -> None:
    hwmon = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    rails = {"in1": ("VDD_IN", "5000", "1200"), "in2": ("VDD_CPU_GPU_CV", "5000", "300")}
    for name, (label, millivolts, milliamperes) in rails.items():
        put(board, {f"{hwmon}/{name}_label": label, f"{hwmon}/{name}_input": millivolts})
        put(board, {f"{hwmon}/curr{name[2:]}_input": milliamperes})
    sensor = power.find_sensor(board)
    assert sensor is not None
    assert sensor.watts() == 6.0
    (board / hwmon / "in1_label").write_text("OTHER")
    assert sensor.watts() == 7.5


def test_energy_is_the_mean_power_of_the_time() -> None:
    log = power.PowerLog(None)
    log.readings = [(0.0, 9.0), (1.0, 2.0), (2.0, 4.0), (3.0, 9.0)]
    assert log.watts(0.5, 2.5) == 3.0
    assert log.watts(0.5, 1.5) is None  # one reading is no measurement


def test_everything_is_measured_and_kept(
    random_bundle: Path, tflite_bundle: Path, tmp_path: Path, short: None, cli: Cli
) -> None:
    file = tmp_path / "report.json"
    models = ["--model", random_bundle, "--model", tflite_bundle]
    sizes = ["--size", "40x48", "--threads", "1,2", "--rounds", 2]
    code, out, _ = cli(*models, *sizes, "--json", file, "--report", tmp_path / "page.html")
    assert code == 0
    report = written(file)
    assert len(report["configurations"]) == 4
    for entry in report["configurations"]:
        assert entry["error"] is None
        assert [start["round"] for start in entry["starts"]] == [0, 1]
        assert {"import", "open", "first"} <= set(entry["starts"][0])
        warm = [sample for sample in entry["samples"] if sample["phase"] == "warm"]
        assert [sample["round"] for sample in warm] == [0, 0, 1, 1]
        assert len(entry["samples"]) == len(warm) + 2  # one to warm up in each process
        for sample in warm:
            stages = ["read", "superpixels", "graph", "gcn", "cnn", "decision", "write"]
            assert list(sample["stages"]) == stages
            assert sum(sample["stages"].values()) <= sample["seconds"]
        assert len(entry["peak_bytes"]) == 2
        assert 0 < entry["starts"][0]["peak_before_bytes"] < entry["peak_bytes"][0]
        assert entry["summary"]["min"] <= entry["summary"]["p50"] <= entry["summary"]["p99"]
        assert entry["cost"]["macs"] == load_bundle(entry["model"]).macs(40, 48)
        assert list(entry["pictures"]) == ["first", "second", "decision", "fused"]
        told = entry["facts"]["published_convention"]
        assert told == published_convention(load_bundle(entry["model"]), 40, 48, entry["facts"]["superpixels"])
    assert [entry["facts"]["threads"] for entry in report["configurations"]] == [1, 2, 1, 2]
    assert report["sensor"] is None
    assert "no sensor" in out
    assert "1.00 (1.00 to 1.00)" in out
    assert "Raspberry Pi 5" in out
    page = (tmp_path / "page.html").read_text()
    assert page.count('class="dot"') == 16
    assert main(["report", str(file), "-o", str(tmp_path / "again.html")]) == 0
    again = (tmp_path / "again.html").read_text()
    assert again.replace("(report.json)", "(this benchmark)") == page


def test_one_failing_configuration_does_not_stop_the_rest(
    random_bundle: Path, tmp_path: Path, short: None, cli: Cli
) -> None:
    options = ["--model", random_bundle, "--size", "40x48", "--rounds", 1]
    code, out, err = cli(*options, "--engine", "litert", "--engine", "onnx", "--json", tmp_path / "r.json")
    assert code == 1
    failed, measured = written(tmp_path / "r.json")["configurations"]
    assert "is made for the engine 'onnx'" in failed["error"]
    assert "1 configuration could not be measured" in err
    assert failed["samples"] == []
    assert failed["valid"] is False
    assert measured["error"] is None
    assert failed["error"] in out
    assert "1.00 (1.00 to 1.00)" in out
    assert "Traceback" not in err
    code, _, err = cli(*options, "--engine", "litert")
    assert code == 2
    assert "none of the configurations" in err
    code, out, err = cli(*options, "--model", tmp_path / "nothing")
    assert code == 2
    assert "No model" in err
    assert out == ""


def test_a_process_that_dies_is_told(random_bundle: Path, short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    configurations = runner.matrix([str(random_bundle)], [None], [1], [((40, 48), [("a", "b")])])
    for code, sentence in [("import os; os.kill(os.getpid(), 9)", "signal 9"), ("raise OSError('x')", "OSError: x")]:
        configurations[0].error = None
        monkeypatch.setattr(runner, "subprocess", Stub(code))
        report = runner.measure(configurations, 1)
        assert sentence in report["configurations"][0]["error"]


def test_a_folder_of_any_length_is_measured(random_bundle: Path, tmp_path: Path, short: None) -> None:
    inputs = runner.made_inputs([(40, 48)], tmp_path)
    long = [(size, pairs * (200_000 // len(str(pairs)))) for size, pairs in inputs]
    report = runner.measure(runner.matrix([str(random_bundle)], [None], [1], long), 1)
    (entry,) = report["configurations"]
    assert (entry["error"], entry["pairs"]) == (None, len(long[0][1]))


class Stub:
    """subprocess, starting other code."""

    PIPE = subprocess.PIPE

    def __init__(self, code: str) -> None:
        self._code = code

    def Popen(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", self._code], **options)


def test_interrupting_keeps_what_was_measured(
    random_bundle: Path, tmp_path: Path, short: None, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = runner._take_down

    def interrupted_in_the_second_round(configuration: Any, number: int, line: str) -> None:
        if number == 1 and "sample" in line:
            raise KeyboardInterrupt
        original(configuration, number, line)

    monkeypatch.setattr(runner, "_take_down", interrupted_in_the_second_round)
    code, out, _ = cli("--model", random_bundle, "--size", "40x48", "--rounds", 3, "--json", tmp_path / "r.json")
    assert code == 130
    assert "Interrupted" in out
    report = written(tmp_path / "r.json")
    assert report["interrupted"] is True
    assert {sample["round"] for sample in report["configurations"][0]["samples"]} == {0}


def test_a_run_under_load_is_marked_invalid(
    random_bundle: Path, tmp_path: Path, board: Path, short: None, cli: Cli
) -> None:
    put(board, {"proc/loadavg": "99.0 1 1 1/1 1"})
    code, out, _ = cli("--model", random_bundle, "--size", "40x48", "--rounds", 1, "--json", tmp_path / "r.json")
    assert code == 0
    report = written(tmp_path / "r.json")
    assert report["valid"] is False
    assert report["configurations"][0]["valid"] is False
    assert "load average 99.00" in report["reasons"][0]
    assert "INVALID: the machine was busy before: load average 99.00" in out


def test_energy_and_sustained_runs(
    random_bundle: Path, tmp_path: Path, short: None, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "find_sensor", lambda root: power.Sensor("made up", lambda: 4.0, 0.001))
    arguments = ["--model", random_bundle, "--size", "40x48", "--rounds", 1, "--sustained", 0.01]
    code, out, _ = cli(*arguments, "--json", tmp_path / "r.json")
    assert code == 0
    report = written(tmp_path / "r.json")
    assert (report["sensor"], report["idle_watts"]) == ("made up", 4.0)
    samples = report["configurations"][0]["samples"]
    assert all(sample["joules"] == pytest.approx(4 * sample["seconds"]) for sample in samples)
    assert {sample["phase"] for sample in samples} == {"warm-up", "warm", "sustained"}
    assert "no sensor" not in out


def test_net_energy_is_that_of_each_run() -> None:
    samples = [{"phase": "warm", "seconds": seconds, "joules": 5 * seconds} for seconds in [1.0] * 9 + [11.0]]
    samples.append({"phase": "sustained", "seconds": 1.0, "joules": 99.0})
    assert runner.net_joules(samples, 2.0) == 3
    assert runner.net_joules(samples, 7.0) == 0


def test_photographs_are_grouped_by_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, size in {"1": (30, 40), "2": (20, 25), "3": (30, 40)}.items():
        for side in "ab":
            (tmp_path / side).mkdir(exist_ok=True)
            write_image(tmp_path / side / f"{name}.png", rng.integers(0, 256, (*size, 3), np.uint8))
    found = runner.photo_inputs(tmp_path)
    assert [(size, [Path(a).stem for a, _ in pairs]) for size, pairs in found] == [
        ((30, 40), ["1", "3"]),
        ((20, 25), ["2"]),
    ]
    write_image(tmp_path / "b" / "2.png", rng.integers(0, 256, (20, 26, 3), np.uint8))
    with pytest.raises(FusionError, match="differ in size"):
        runner.photo_inputs(tmp_path)


def test_mistakes_on_the_command_line_are_told_before_anything_is_measured(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "measure", None)
    for arguments, sentence in [
        (["--threads", "1,x"], "no numbers of threads"),
        (["--threads", "0"], "no numbers of threads"),
        (["--sustained", "-1"], "no number of minutes"),
        (["--size", "big"], "no size"),
        (["--engine", "tpu"], "invalid choice"),
        (["--photos", tmp_path / "none"], "No pairs"),
        (["--photos", tmp_path, "--size", "9x9"], "leave --size out"),
        (["--json", tmp_path / "no" / "r.json"], "does not exist"),
        (["--json", tmp_path], "is a folder"),
        (["--report", tmp_path / "r.txt"], "name it .html or .md"),
        (["--report", tmp_path / "no" / "r.html"], "does not exist"),
        (["--report", tmp_path / "r.md", "--json", tmp_path / "r.md"], "named twice"),
    ]:
        code, _, err = cli(*arguments)
        assert (code, sentence in err) == (2, True), (arguments, err)


def test_numpy_opencv_and_one_engine_are_enough(random_bundle: Path, tmp_path: Path) -> None:
    runner.made_inputs([(40, 48)], tmp_path)
    pair = [str(tmp_path / f"40x48-{side}.png") for side in "ab"]
    task = {
        "model": str(random_bundle), "engine": "onnx", "threads": 1, "size": [40, 48], "pairs": [pair],
        "output": str(tmp_path / "fused.png"), "warm_up_seconds": 0, "enough_seconds": 0, "least_runs": 1,
        "most_runs": 1, "sustained_seconds": 0, "pictures": True,
    }  # fmt: skip
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'psutil', 'skimage', 'scipy', 'matplotlib',"
        " 'ai_edge_litert', 'tflite_runtime', 'resource']));"  # Windows has no resource
        "import fusiongcn_edge.benchmarks.cli.benchmark;"
        "from fusiongcn_edge.benchmarks.latency.worker import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = [next(iter(json.loads(line))) for line in done.stdout.splitlines()]
    assert told == ["facts", "start", "sample", "sample", "peak", "pictures"]
