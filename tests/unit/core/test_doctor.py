"""What the doctor finds."""

from __future__ import annotations

import json

import pytest

from edge_tx import doctor
from edge_tx.backends import find
from edge_tx.device import Cpu, DeviceInfo
from edge_tx.doctor import conflicts, examine, extra_status

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
