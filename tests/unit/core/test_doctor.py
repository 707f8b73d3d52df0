"""What the doctor finds."""

from __future__ import annotations

import json

import pytest

from edge_tx import doctor
from edge_tx.backends import find
from edge_tx.bundle import Bundle
from edge_tx.device import Accelerator, Cpu, DeviceInfo
from edge_tx.doctor import clashes, conflicts, examine, extra_status, graphs_of, jetson
from edge_tx.doctor_tables import CLASHES, RELEASES, Clash
from edge_tx.probing import Answer

ONNX = find("onnx")


def test_two_packages_with_one_module_are_an_error() -> None:
    [finding] = conflicts([ONNX], {"onnxruntime": {"onnxruntime", "onnxruntime-gpu"}})
    assert finding.level == "error"
    assert "onnxruntime and onnxruntime-gpu" in finding.what
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in finding.remedy


@pytest.mark.parametrize("providers", [{}, {"onnxruntime": ["onnxruntime"]}])
def test_one_package_or_none_is_no_conflict(providers: dict[str, list[str]]) -> None:
    assert list(conflicts([ONNX], providers)) == []


def test_extra_is_read_from_the_packages_own_metadata() -> None:
    lines = [
        "numpy<3,>=1.26",
        "pytest>=8; extra == 'export'",
        "no-such-package<2,>=1 ; extra == 'export'",
        "hypothesis>=6; extra == 'dev'",
    ]
    status = extra_status("export", lines)
    assert [package.split()[0] for package in status.packages] == ["pytest"]
    assert status.missing == ("no-such-package",)
    assert status.install == "pip install 'edge-tx[export]'"


def test_this_machine_can_run_onnx() -> None:
    checkup = examine()
    onnx = next(b for b in checkup.backends if b.name == "onnx")
    assert onnx.installed
    assert onnx.packages[0].startswith("onnxruntime")
    assert json.loads(json.dumps(checkup.to_dict()))["healthy"] == checkup.healthy
    assert "fake" not in [backend.name for backend in checkup.backends]


def test_no_backend_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.metadata, "packages_distributions", dict)  # type: ignore[attr-defined]
    checkup = examine()
    assert not checkup.healthy
    assert checkup.findings[0].remedy == "pip install onnxruntime"


def test_limits_of_a_container_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = Cpu("x", logical_cores=8, physical_cores=4, quota=1.5, instruction_sets=())
    device = DeviceInfo("", "x86_64", "Linux", "3.11", cpu, 8 * 10**9, 2 * 10**9, ())
    monkeypatch.setattr(DeviceInfo, "probe", lambda: device)
    said = [finding.what for finding in examine().findings]
    assert "a quota allows 1.5 of 4 cores: graphs use 1 thread" in said
    assert "a limit allows 2.0 of 8.0 GB" in said


def test_sees_what_the_vendors_library_says() -> None:
    onnx = next(b for b in examine().backends if b.name == "onnx")
    assert "CPUExecutionProvider" in onnx.sees
    assert onnx.problem == ""


def test_library_that_crashes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    crashed = Answer(problem="crashed (signal 11)")
    monkeypatch.setattr(doctor.probing, "ask_all", lambda probes: dict.fromkeys(probes, crashed))  # type: ignore[attr-defined]
    checkup = examine()
    assert not checkup.healthy
    assert "ONNX Runtime is installed, but its library crashed" in checkup.findings[0].what


@pytest.mark.parametrize("clash", CLASHES, ids=lambda clash: f"{clash.one}+{clash.other}")
def test_every_clash_is_found(clash: Clash) -> None:
    both = {clash.one: "2.14", clash.other: f"{clash.least or '1'}.3"}
    [finding] = clashes(both)
    assert (finding.level, finding.remedy) == (clash.level, clash.remedy)
    assert list(clashes({clash.one: "2.14"})) == []


def test_clash_begins_with_a_version() -> None:
    assert list(clashes({"tflite-runtime": "2.14.0", "numpy": "1.26.4"})) == []
    [finding] = clashes({"tflite-runtime": "2.14.0", "numpy": "2.4.6"})
    assert "(here: tflite-runtime 2.14.0, numpy 2.4.6)" in finding.what


def test_packages_of_one_release_must_be_equal() -> None:
    names = ("tensorrt-rtx-cu12-bindings", "tensorrt-rtx-cu12-libs")
    [finding] = clashes(dict(zip(names, ("1.7.1", "1.6.0"), strict=True)))
    assert finding.level == "error"
    assert finding.remedy == "pip install tensorrt-rtx-cu12-bindings==1.6.0"
    assert list(clashes(dict.fromkeys(names, "1.7.1"))) == []


def on(*accelerators: Accelerator) -> DeviceInfo:
    cpu = Cpu("x", logical_cores=8, physical_cores=4, quota=None, instruction_sets=())
    return DeviceInfo("", "aarch64", "Linux", "3.10", cpu, 8 * 10**9, None, accelerators)


JETSON = on(Accelerator("gpu", "NVIDIA", "Orin GPU", "L4T 36.4.3"))


@pytest.mark.parametrize(
    ("device", "version", "count"),
    [(JETSON, "10.3.0", 0), (JETSON, "10.16.1", 1), (JETSON, "", 0), (on(), "10.16.1", 0)],
)
def test_jetson_wants_the_release_of_its_jetpack(
    device: DeviceInfo, version: str, count: int
) -> None:
    found = list(jetson({"tensorrt": version} if version else {}, device))
    assert len(found) == count
    assert all("10.3" in f.what and "apt install" in f.remedy for f in found)


def test_gpu_without_its_provider_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeviceInfo, "probe", lambda: on(Accelerator("gpu", "NVIDIA", "RTX", "")))
    remedies = [finding.remedy for finding in examine().findings]
    assert "pip uninstall onnxruntime, then pip install onnxruntime-gpu" in remedies


def test_every_release_is_of_a_backend() -> None:
    assert all(find(release.backend).name == release.backend for release in RELEASES)


def test_bundle_is_held_against_what_is_installed(bundle: Bundle) -> None:
    assert list(graphs_of(bundle.origin, {"onnxruntime": "1.32.0"})) == []


@pytest.mark.parametrize(("here", "count"), [("2025.4.1", 1), ("2026.4.1", 0), ("2026.10.0", 0)])
def test_runtime_older_than_what_wrote_the_graph_is_told(
    bundle: Bundle, here: str, count: int
) -> None:
    pytest.importorskip("openvino", reason="pip install openvino")
    path = bundle.origin / "manifest.json"
    record = json.loads(path.read_bytes())
    record["graphs"][0] |= {"backend": "openvino", "tools": {"openvino": "2026.4.1-abc"}}
    path.write_text(json.dumps(record))
    found = list(graphs_of(bundle.origin, {"openvino": here}))
    assert len(found) == count
    assert all(f.level == "warning" and "pip install -U openvino" in f.remedy for f in found)
