"""What llama.cpp computes on here, and what it could on other machines, as their files show them."""

from dataclasses import replace
from pathlib import Path

import pytest

from qwencode.model.llama.devices import Device, devices, machine, missing_backend
from qwencode.model.llama.machine import Gpu

CPU = Device("CPU", "CPU", "A processor", "cpu", 16 << 30, 32 << 30)
CARD = Device("CUDA", "CUDA0", "A card", "gpu", 7 << 30, 8 << 30)
INSIDE = Device("Vulkan", "Vulkan0", "Graphics", "integrated", 12 << 30, 16 << 30)
BUILD = 'CMAKE_ARGS="-DGGML_{}=on" pip install --force-reinstall --no-cache-dir llama-cpp-python'


def card(root: Path, vendor: str, place: str = "0000:01:00.0") -> Path:
    """Write the files of a graphics card as Linux shows them."""
    device = root / "sys/devices" / place
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (root / "sys/class/drm/card0").mkdir(parents=True)
    (root / "sys/class/drm/card0/device").symlink_to(device)
    return root


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def missing(root: Path, system: str = "Linux", processor: str = "x86_64") -> str:
    return missing_backend([CPU], root, system, processor)


def test_the_processor_of_this_machine_is_a_device() -> None:
    found = devices()
    own = next(device for device in found if device.kind == "cpu")
    assert (own.backend, own.name) == ("CPU", "CPU")
    assert own.description
    assert 0 < own.free <= own.total
    assert machine(found).cores >= 1
    assert 0 < machine(found).free <= machine(found).total


def test_cards_are_used_before_graphics_in_the_processor() -> None:
    assert machine([CPU]).gpus == ()
    assert machine([CPU, INSIDE, CARD]).gpus == (Gpu("A card", 7 << 30),)
    assert machine([CPU, INSIDE, replace(INSIDE, name="Vulkan1")]).gpus == (Gpu("Graphics", 12 << 30, shared=True),)
    assert machine([CPU, CARD, CARD]).gpus == (Gpu("A card", 7 << 30),) * 2
    assert machine([CPU, replace(CARD, free=0, total=0)]).gpus == ()
    assert machine([replace(CARD, kind="accelerator")]).gpus == ()


@pytest.mark.parametrize("path", ["dev/nvidia0", "proc/driver/nvidia/version", "usr/lib/wsl/lib/libcuda.so.1"])
def test_a_build_without_cuda(path: str, tmp_path: Path) -> None:
    assert missing(touch(tmp_path, path)).endswith(BUILD.format("CUDA"))
    assert "an NVIDIA GPU" in missing(tmp_path)
    assert missing_backend([CPU, CARD], tmp_path, "Linux", "x86_64") == ""


def test_a_build_without_rocm_or_vulkan(tmp_path: Path) -> None:
    assert missing(card(tmp_path, "0x1002")).endswith(BUILD.format("VULKAN"))
    assert "an AMD GPU" in missing(touch(tmp_path, "dev/kfd"))
    assert missing(touch(tmp_path, "dev/kfd", "opt/rocm")).endswith(BUILD.format("HIP"))


def test_a_build_for_intel_cards_but_not_for_what_every_processor_has(tmp_path: Path) -> None:
    assert missing(card(tmp_path / "card", "0x8086")).endswith(BUILD.format("VULKAN"))
    assert missing(card(tmp_path / "inside", "0x8086", "0000:00:02.0")) == ""


def test_a_build_without_metal(tmp_path: Path) -> None:
    assert missing(tmp_path, "Darwin", "arm64").endswith(BUILD.format("METAL"))
    assert missing(tmp_path, "Darwin", "x86_64") == ""


def test_nothing_is_missing_without_a_card(tmp_path: Path) -> None:
    assert missing(tmp_path) == ""
    assert missing(card(tmp_path / "virtual", "0x1af4")) == ""
    unreadable = card(tmp_path / "damaged", "0x1002")
    (unreadable / "sys/class/drm/card0/device/vendor").write_bytes(b"\xff")
    assert missing(unreadable) == ""
