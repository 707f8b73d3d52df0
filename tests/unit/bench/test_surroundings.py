"""What is read of the machine around a measurement: frequency, heat, energy, memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_tx.bench import energy, gpu, memory
from edge_tx.bench.conditions import Watch, read_conditions, why_not
from edge_tx.bench.noise import noise_of, spread_of
from edge_tx.cgroup import oom_kills, quota_throttles
from edge_tx.report import Conditions, ReportRow, Surroundings
from edge_tx.stats import LatencyStats

CPU = "sys/devices/system/cpu"

Machine = Callable[[dict[str, str]], Path]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    def make(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def test_all_that_linux_shows_is_read(machine: Machine) -> None:
    root = machine(
        {
            f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{CPU}/cpu1/cpufreq/scaling_governor": "performance\n",
            f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
            f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "2400000\n",
            f"{CPU}/intel_pstate/no_turbo": "1\n",
            f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3\n",
            "sys/class/thermal/thermal_zone0/temp": "41000\n",
            "sys/class/thermal/thermal_zone1/temp": "67500\n",
            "proc/loadavg": "0.50 1.25 2.00 1/2 3\n",
            "proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   2048 kB\n",
        }
    )
    conditions = read_conditions(root)
    assert conditions == Conditions(
        "performance,powersave", False, 2400.0, (0.5, 1.25, 2.0), 67.5, 3, None, 2048 * 1024
    )
    assert why_not(conditions) == {}


def test_what_cannot_be_read_is_none_and_says_why(tmp_path: Path) -> None:
    assert read_conditions(tmp_path) == Conditions()
    assert set(why_not(Conditions())) == {
        "governor", "turbo", "temperature", "thermal throttling",
    }  # fmt: skip


@pytest.mark.parametrize(("boost", "on"), [("1", True), ("0", False)])
def test_amds_and_arms_turbo_switch(boost: str, on: bool, machine: Machine) -> None:
    assert read_conditions(machine({f"{CPU}/cpufreq/boost": boost})).turbo is on


def test_what_others_did_meanwhile_is_counted(machine: Machine) -> None:
    root = machine({"proc/stat": "cpu  0 0 0 0 0 0 0 0 0 0\n", "proc/loadavg": "2 1 1 1/1 1"})
    watch = Watch(root)
    machine({"proc/stat": "cpu  900000 0 90000 0 0 5000 5000 700000 0 0\n"})
    found = watch.stop()
    assert found.others_cpu is not None
    assert found.stolen_cpu is not None
    # Of the ticks above: ten to seven, but for what this process itself did.
    assert found.others_cpu / found.stolen_cpu == pytest.approx(10 / 7, rel=0.01)
    assert found.load_average == 2.0


def test_without_proc_nothing_is_claimed(tmp_path: Path) -> None:
    assert Watch(tmp_path).stop() == Surroundings()


def test_throttles_and_kills_of_the_control_group(machine: Machine) -> None:
    root = machine(
        {
            "proc/self/cgroup": "0::/app\n",
            "proc/self/mountinfo": "1 2 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
            "sys/fs/cgroup/app/cpu.stat": "usage_usec 5\nnr_throttled 7\n",
            "sys/fs/cgroup/app/memory.events": "low 0\noom 2\noom_kill 1\n",
        }
    )
    assert (quota_throttles(root), oom_kills(root)) == (7, 1)


class TestEnergy:
    def test_rapl_counts_on_after_it_starts_again(self, machine: Machine) -> None:
        folder = "sys/class/powercap/intel-rapl:0"
        root = machine(
            {
                f"{folder}/name": "package-0",
                f"{folder}/energy_uj": "9000000",
                f"{folder}/max_energy_range_uj": "10000000",
                "sys/class/powercap/intel-rapl:0:0/name": "core",
                "sys/class/powercap/intel-rapl:0:0/energy_uj": "1",
            }
        )
        meter = energy.Meter(root)
        meter.start()
        machine({f"{folder}/energy_uj": "3000000"})
        found = meter.stop(answers=8)
        assert found is not None
        assert (found.counter, found.joules, found.per_answer_joules) == (
            "RAPL package-0", 4.0, 0.5,
        )  # fmt: skip
        assert energy.why_not(root) == ""

    def test_a_jetsons_rail_is_power_over_time(self, machine: Machine) -> None:
        chip = "sys/class/hwmon/hwmon3"
        root = machine(
            {
                f"{chip}/name": "ina3221",
                f"{chip}/in1_label": "VDD_IN",
                f"{chip}/in1_input": "5000",
                f"{chip}/curr1_input": "2000",
                f"{chip}/in2_label": "VDD_CPU_GPU_CV",
                f"{chip}/in2_input": "5000",
                f"{chip}/curr2_input": "9000",
            }
        )
        meter = energy.Meter(root)
        meter.start()
        found = meter.stop(answers=1)
        assert found is not None
        assert found.counter == "INA3221"
        assert 0 < found.joules < 10 * 60

    def test_without_a_counter_nothing_is_claimed(self, machine: Machine, tmp_path: Path) -> None:
        meter = energy.Meter(tmp_path)
        meter.start()
        assert meter.stop(1) is None
        assert "no counter" in energy.why_not(tmp_path)
        folder = machine({"sys/class/powercap/intel-rapl:0/name": "package-0"})
        assert "root" in energy.why_not(folder)


class TestMemory:
    def test_private_and_shared_stand_apart(self, tmp_path: Path) -> None:
        path = tmp_path / "smaps_rollup"
        path.write_text("55-7f ---p 00:00 0 [rollup]\nRss: 30 kB\nPrivate_Dirty:  12 kB\nx y\n")
        assert memory.rollup(path) == {"Rss": 30 * 1024, "Private_Dirty": 12 * 1024}
        assert memory.rollup(tmp_path / "nothing") == {}

    def test_it_grows_with_what_is_held(self) -> None:
        if not memory.rollup():
            pytest.skip("this system has no smaps_rollup")
        before = memory.measure(None)
        held = bytearray(40_000_000)
        held[:] = b"x" * len(held)
        after = memory.measure(1)
        assert after.private_bytes is not None
        assert before.private_bytes is not None
        assert after.private_bytes - before.private_bytes > 35_000_000
        assert after.loaded_bytes == 1
        assert (after.peak_bytes or 0) >= (after.steady_bytes or 0) > 0
        del held

    def test_a_gpu_is_measured_or_said_not_to_be(self) -> None:
        assert (gpu.used_bytes() is None) == bool(gpu.why_not())


ROW = ReportRow("g", "fake", "fp32", 1, 1, 0, 0)


def measured(*runs: tuple[int, ...], around: Surroundings | None = None) -> ReportRow:
    first, *again = runs
    return replace(
        ROW,
        samples_ns=first,
        latency=LatencyStats.of(first),
        repeats_ns=tuple(again),
        surroundings=around,
    )


class TestNoise:
    def test_spread_is_of_the_medians(self) -> None:
        assert spread_of(measured((100, 100, 900), (110, 110, 110))) == pytest.approx(0.1)
        assert spread_of(measured((100,))) is None

    def test_nothing_is_known_of_cells_measured_once(self) -> None:
        assert noise_of([measured((100,))]) is None

    def test_a_quiet_machine(self) -> None:
        noise = noise_of([measured((1000,), (1010,))])
        assert noise is not None
        assert noise.quiet
        assert noise.said == "quiet machine: measured again, 1 cell differed by 1.0% at most"

    @pytest.mark.parametrize(
        ("runs", "around", "said"),
        [
            (((1000,), (1200,)), None, "differences up to 20% mean nothing"),
            (((1000,), (1000,)), Surroundings(others_cpu=1.5), "others kept up to 1.5 cores"),
            (((1000,), (1000,)), Surroundings(stolen_cpu=0.5), "the hypervisor took"),
            (((1000,), (1000,)), Surroundings(thermal_throttles=1), "for heat"),
            (((1000,), (1000,)), Surroundings(quota_throttles=1), "ran out of CPU time"),
        ],
    )
    def test_a_noisy_machine_says_why(
        self, runs: tuple[tuple[int, ...], ...], around: Surroundings | None, said: str
    ) -> None:
        noise = noise_of([measured(*runs, around=around)])
        assert noise is not None
        assert not noise.quiet
        assert noise.said.startswith("noisy machine: ")
        assert said in noise.said
        assert "\n" not in noise.said
