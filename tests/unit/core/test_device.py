"""The machine, read from recorded trees of files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edge_tx import device
from edge_tx.cgroup import Limits, read_limits
from edge_tx.device import Cpu, DeviceInfo

Tree = dict[str, str]

V2_MOUNT = "30 25 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n"
MEMINFO = "MemTotal:       16384000 kB\nMemFree:         1000000 kB\n"


def plant(root: Path, tree: Tree) -> Path:
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def siblings(*lists: str) -> Tree:
    """Topology files: the n-th argument is the sibling list of CPU n."""
    base = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    return {base.format(cpu): text + "\n" for cpu, text in enumerate(lists)}


PLAIN: Tree = {
    "proc/cpuinfo": (
        "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i7-1185G7 @ 3.00GHz\n"
        "flags\t\t: fpu sse2 avx2 avx512f avx512_vnni\n\n"
        "processor\t: 1\nmodel name\t: something else\nflags\t\t: fpu\n"
    ),
    "proc/meminfo": MEMINFO,
    "proc/self/cgroup": "0::/user.slice/user-1000.slice/session-2.scope\n",
    "proc/self/mountinfo": V2_MOUNT,
    "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
    "sys/class/dmi/id/product_name": "XPS 13\n",
    "sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
    "sys/fs/cgroup/user.slice/memory.max": "max\n",
    "dev/dri/renderD128": "",
    "sys/class/drm/renderD128/device/vendor": "0x8086\n",
    "dev/accel/accel0": "",
    "sys/class/accel/accel0/device/vendor": "0x8086\n",
    **siblings("0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"),
}

RASPBERRY_PI: Tree = {
    "proc/cpuinfo": (
        "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd aes crc32 asimddp\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0b\n"
        "\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
    ),
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/meminfo": "MemTotal:        8256512 kB\n",
    "proc/self/cgroup": "0::/user.slice\n",
    "proc/self/mountinfo": V2_MOUNT,
    **siblings("0", "1", "2", "3"),
}

JETSON: Tree = {
    "proc/cpuinfo": (
        "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n"
    ),
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
    **siblings("0", "1", "2", "3", "4", "5"),
}

NVIDIA: Tree = {
    "proc/driver/nvidia/version": (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\n"
    ),
    "proc/driver/nvidia/gpus/0000:01:00.0/information": (
        "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:   \t\t 182\n"
    ),
}


class TestPlainMachine:
    @pytest.fixture
    def info(self, tmp_path: Path) -> DeviceInfo:
        return DeviceInfo.probe(plant(tmp_path, PLAIN), cpus=range(8))

    def test_counts_hyper_threads_of_a_core_once(self, info: DeviceInfo) -> None:
        assert (info.cpu.logical_cores, info.cpu.physical_cores) == (8, 4)
        assert info.cpu.usable_threads == 4

    def test_names_machine_and_processor(self, info: DeviceInfo) -> None:
        assert info.machine == "XPS 13"
        assert info.cpu.model == "Intel(R) Core(TM) i7-1185G7 @ 3.00GHz"
        assert info.system.startswith("Debian GNU/Linux 13 (trixie), ")

    def test_lists_the_instruction_sets_that_matter(self, info: DeviceInfo) -> None:
        assert info.cpu.instruction_sets == ("avx2", "avx512f", "avx512_vnni")

    def test_has_no_limits(self, info: DeviceInfo) -> None:
        assert info.cpu.quota is None
        assert info.memory_limit_bytes is None
        assert info.usable_memory_bytes == info.memory_bytes == 16384000 * 1024

    def test_finds_gpu_and_npu(self, info: DeviceInfo) -> None:
        assert [(a.kind, a.vendor) for a in info.accelerators] == [
            ("gpu", "Intel"),
            ("npu", "Intel"),
        ]

    def test_is_json(self, info: DeviceInfo) -> None:
        record = json.loads(json.dumps(info.to_dict()))
        assert record["cpu"]["usable_threads"] == 4
        assert record["accelerators"][1]["kind"] == "npu"


def test_affinity_mask_bounds_the_cores(tmp_path: Path) -> None:
    cpu = Cpu.probe(plant(tmp_path, PLAIN), cpus={0, 4, 5})
    assert (cpu.logical_cores, cpu.physical_cores, cpu.usable_threads) == (3, 2, 2)


@pytest.mark.parametrize(
    ("quota", "threads"),
    [
        (None, 8),
        (0.5, 1),
        (1.0, 1),
        (1.5, 1),
        (1.99, 1),
        (2.0, 2),
        (3.7, 3),
        (64.0, 8),
    ],
)
def test_quota_is_rounded_down_but_never_to_nothing(quota: float | None, threads: int) -> None:
    assert Cpu("x", 16, 8, quota, ()).usable_threads == threads


def test_docker_with_cgroup_v2(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2_MOUNT,
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/memory.max": "536870912\n",
            "proc/meminfo": MEMINFO,
        },
    )
    info = DeviceInfo.probe(root, cpus=range(4))
    assert info.cpu.quota == 1.5
    assert info.cpu.usable_threads == 1
    assert info.usable_memory_bytes == 536870912


def test_the_tightest_limit_of_all_levels_counts(tmp_path: Path) -> None:
    base = "sys/fs/cgroup/kubepods"
    tree = {
        "proc/self/cgroup": "0::/kubepods/pod1/container\n",
        "proc/self/mountinfo": V2_MOUNT,
        f"{base}/cpu.max": "800000 100000\n",
        f"{base}/memory.max": "1000\n",
        f"{base}/pod1/cpu.max": "200000 100000\n",
        f"{base}/pod1/container/cpu.max": "max 100000\n",
        f"{base}/pod1/container/memory.max": "4000\n",
    }
    assert read_limits(plant(tmp_path, tree)) == Limits(2.0, 1000)


V1_MOUNTS = (
    "31 25 0:27 {root} /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
    "32 25 0:28 {root} /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
)


@pytest.mark.parametrize("mount_root", ["/", "/docker/abc"])
def test_docker_with_cgroup_v1(tmp_path: Path, mount_root: str) -> None:
    below = "" if mount_root != "/" else "/docker/abc"
    tree = {
        "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n",
        "proc/self/mountinfo": V1_MOUNTS.format(root=mount_root),
        f"sys/fs/cgroup/cpu,cpuacct{below}/cpu.cfs_quota_us": "250000\n",
        f"sys/fs/cgroup/cpu,cpuacct{below}/cpu.cfs_period_us": "100000\n",
        f"sys/fs/cgroup/memory{below}/memory.limit_in_bytes": "268435456\n",
    }
    assert read_limits(plant(tmp_path, tree)) == Limits(2.5, 268435456)


def test_cgroup_v1_without_limits(tmp_path: Path) -> None:
    tree = {
        "proc/self/cgroup": "4:memory:/\n3:cpu,cpuacct:/\n",
        "proc/self/mountinfo": V1_MOUNTS.format(root="/"),
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    assert read_limits(plant(tmp_path, tree)) == Limits(None, None)


def test_group_outside_the_mount_is_read_at_the_mount_point(tmp_path: Path) -> None:
    tree = {
        "proc/self/cgroup": "0::/../../other\n",
        "proc/self/mountinfo": V2_MOUNT,
        "sys/fs/cgroup/cpu.max": "300000 100000\n",
        "other/cpu.max": "100000 100000\n",
    }
    assert read_limits(plant(tmp_path, tree)).cpus == 3.0


def test_raspberry_pi_5(tmp_path: Path) -> None:
    info = DeviceInfo.probe(plant(tmp_path, RASPBERRY_PI), cpus=range(4))
    assert info.machine == "Raspberry Pi 5 Model B Rev 1.0"
    assert info.cpu.model == "Arm Cortex-A76"
    assert info.cpu.instruction_sets == ("asimd", "dotprod")
    assert info.cpu.usable_threads == 4
    assert info.accelerators == ()


def test_jetson_orin(tmp_path: Path) -> None:
    info = DeviceInfo.probe(plant(tmp_path, JETSON), cpus=range(6))
    assert info.cpu.model == "Arm Cortex-A78AE"
    [gpu] = info.accelerators
    assert gpu.name == "NVIDIA Jetson Orin Nano Developer Kit GPU"
    assert gpu.driver == "L4T 36.4.3"


def test_nvidia_gpu(tmp_path: Path) -> None:
    [gpu] = DeviceInfo.probe(plant(tmp_path, NVIDIA), cpus={0}).accelerators
    assert (gpu.vendor, gpu.name) == ("NVIDIA", "NVIDIA GeForce RTX 4090")
    assert gpu.driver == "550.54.14"


@pytest.mark.parametrize("text", ["", "garbage", "::::\n- -\n:", "cpu.max\n\n\0"])
def test_files_of_no_sense_raise_nothing(tmp_path: Path, text: str) -> None:
    names = [*PLAIN, *JETSON, *NVIDIA, "sys/fs/cgroup/cpu.max", "sys/fs/cgroup/memory.max"]
    tree = dict.fromkeys(names, text) | {"proc/self/mountinfo": V2_MOUNT}
    info = DeviceInfo.probe(plant(tmp_path, tree), cpus={0, 1})
    assert info.cpu.usable_threads >= 1


def test_system_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sysconf", raising=False)
    info = DeviceInfo.probe(tmp_path)
    assert info.memory_bytes == info.usable_memory_bytes == 0
    assert info.cpu.usable_threads >= 1


def test_this_machine() -> None:
    info = DeviceInfo.probe()
    assert 1 <= info.cpu.usable_threads <= info.cpu.logical_cores
    assert device.usable_threads() == info.cpu.usable_threads


@pytest.mark.parametrize(
    ("lists", "count", "chosen"),
    [
        (("0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"), 4, (0, 1, 2, 3)),
        (("0-1", "0-1", "2-3", "2-3"), 2, (0, 2)),
        (("0-1", "0-1", "2-3", "2-3"), 3, (0, 1, 2)),
        (("0", "1"), 9, (0, 1)),
        ((), 2, (0, 1)),
    ],
)
def test_a_budget_gets_cores_of_its_own_first(
    lists: tuple[str, ...], count: int, chosen: tuple[int, ...], tmp_path: Path
) -> None:
    plant(tmp_path, siblings(*lists))
    cpus = range(len(lists) or 4)
    assert device.hardware_threads(count, tmp_path, cpus) == chosen
