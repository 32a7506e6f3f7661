"""What fits and how fast it would be, for machines that are not here."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_fit import GIB, MACHINES, here, line
from qwencode.machine.expect import Expected, active_weights, bandwidth, expected, measure_memory
from qwencode.machine.outlook import FIRST_PROMPT, Here, look, of_entry, of_file, recommended
from qwencode.model.catalogue import catalogue
from qwencode.model.llama.calibration import Calibration, keep
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.fitting import Wishes
from qwencode.model.llama.footprint import Scale
from qwencode.model.llama.machine import Gpu, Machine
from qwencode.model.llama.shapes import header_of

NONE = Wishes()
Q4 = catalogue().entries["Qwen3.6-35B-A3B-UD-Q4_K_XL"]


@pytest.mark.parametrize(
    ("gpu", "gib", "reported"),
    [
        ("NVIDIA GeForce RTX 3090", 23.5, (107, 136)),
        ("NVIDIA GeForce RTX 4090", 23.5, (107, 132)),
        ("GB10", 110, (58, 72)),
    ],
)
def test_the_stated_model_meets_what_people_report(gpu: str, gib: float, reported: tuple[float, float]) -> None:
    speed = of_entry(Q4, here(28, (gpu, gib)), NONE).expected
    assert speed
    assert reported[0] <= speed.decode <= reported[1]
    assert not speed.measured
    assert speed.first_token(FIRST_PROMPT) == 0  # unknown


def test_experts_in_main_memory_are_within_a_factor_of_two() -> None:
    """GTX 1070 with an i7-7700K (34 GB/s of 38 in theory): 22.3 tokens a second with the experts of 29 blocks there."""
    speed = of_entry(Q4, here(28, ("NVIDIA GeForce GTX 1070", 7.5), bandwidth=34e9), Wishes(cpu_experts=29)).expected
    assert speed
    assert 22.3 / 2 <= speed.decode <= 22.3 * 2


def test_what_a_token_reads_is_what_it_uses() -> None:
    header = header_of(Q4)
    assert header
    machine = Machine(8, 64 * GIB, 64 * GIB, (Gpu("card", 40 * GIB),))
    plan = Fit(context=4096, threads=8, gpu_layers=41)
    main = Scale(header, machine).reads(Fit(context=4096, threads=8))
    whole = Scale(header, machine).reads(plan)
    assert whole.main == 0
    assert whole.gpus[0] == pytest.approx(main.main, rel=1e-6)
    assert 2.4e9 < main.main < 3.0e9  # of 22.4 GB
    divided = Scale(header, machine).reads(Fit(context=4096, threads=8, gpu_layers=41, cpu_experts=20))
    assert divided.main + divided.gpus[0] == pytest.approx(main.main, rel=1e-6)
    assert divided.main == pytest.approx(20 * (22.36e9 - 2.6e9) / 40 / 32, rel=0.05)


def test_the_active_weights_are_those_of_the_name() -> None:
    for name, billions in (("Qwen3.6-35B-A3B-UD-Q4_K_XL", 3), ("Qwen3.6-27B-Q4_K_M", 27), ("Qwen3.5-9B-UD-Q4_K_XL", 9)):
        header = header_of(catalogue().entries[name])
        assert header
        assert 0.7 * billions < active_weights(header) / 1e9 < billions  # without embedding and output


def test_a_gpu_that_nobody_knows_gets_no_number() -> None:
    found = of_entry(Q4, here(28, ("Mystery 9000", 31.5)), NONE)
    assert found.fit
    assert found.expected == Expected(0.0, 0.0)
    assert bandwidth("NVIDIA GeForce RTX 4060 Ti") == 288e9
    assert bandwidth("NVIDIA GeForce RTX 4060") == 272e9


@given(st.floats(1, 100), st.floats(1.1, 4))
def test_faster_memory_is_never_slower(gigabytes: float, times: float) -> None:
    header = header_of(Q4)
    assert header
    machine = Machine(8, 64 * GIB, 64 * GIB)
    plan = Fit(context=4096, threads=8)
    slow, fast = (expected(header, plan, machine, rate * 1e9, False) for rate in (gigabytes, gigabytes * times))
    assert slow.decode < fast.decode
    assert slow.prefill == fast.prefill < expected(header, plan, machine, 1e9, True).prefill


@pytest.mark.parametrize(("machine", "free"), MACHINES, ids=[free for _, free in MACHINES])
def test_what_is_recommended_is_what_the_documentation_says(machine: Here, free: str) -> None:
    assert (
        line(machine, free) in (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8").splitlines()
    )


FOUR_BITS = ("Qwen3.6-35B-A3B-UD-Q4_K_XL", "Qwen3.6-35B-A3B-MTP-UD-Q4_K_XL")
IQ4 = ("Qwen3.6-35B-A3B-UD-IQ4_NL", "Qwen3.6-35B-A3B-UD-IQ4_XS")  # the same but for 2 %; the first is faster


@pytest.mark.parametrize(
    ("machine", "names", "experts", "contexts"),
    [
        (here(6), ("Qwen3.5-4B-UD-Q4_K_XL",), (0, 0), (32_768, 65_536)),  # 8 GB
        (here(13), ("Qwen3.5-9B-UD-Q4_K_XL", "Qwen3.5-9B-UD-Q6_K_XL"), (0, 0), (32_768, 65_536)),  # 16 GB
        (here(18), ("Qwen3.6-35B-A3B-UD-Q3_K_XL",), (0, 0), (32_768, 65_536)),  # 24 GB
        (here(20), IQ4, (0, 0), (32_768, 65_536)),  # 24 GB, most of it free
        (here(22), IQ4, (0, 0), (32_768, 65_536)),  # 32 GB, with a desktop
        (here(28), FOUR_BITS, (0, 0), (32_768, 65_536)),  # 32 GB
        (here(60), FOUR_BITS, (0, 0), (65_536, 262_144)),  # 64 GB: more bits would be no better, and slower
        (here(120), FOUR_BITS, (0, 0), (65_536, 262_144)),  # 128 GB
        (here(28, ("RTX 4060", 7.5)), FOUR_BITS, (30, 40), (32_768, 65_536)),
        (here(28, ("RTX 3060", 11.5)), FOUR_BITS, (20, 28), (32_768, 65_536)),
        (here(28, ("RTX 5060 Ti", 15.5)), FOUR_BITS, (8, 20), (32_768, 65_536)),
        (here(28, ("RTX 4090", 23.5)), FOUR_BITS, (0, 0), (65_536, 102_400)),
        (here(28, ("RTX 5090", 31.5)), FOUR_BITS, (0, 0), (131_072, 262_144)),
        (here(20, ("Apple M4", 17), shared=True), IQ4, (0, 10), (32_768, 65_536)),
        (here(44, ("Apple M4 Max", 36), shared=True), FOUR_BITS, (0, 0), (65_536, 262_144)),
    ],
    ids=lambda value: None if isinstance(value, tuple) else str(round(value.machine.free / GIB)),
)
def test_what_is_recommended_is_what_people_run_on_such_machines(
    machine: Here, names: tuple[str, ...], experts: tuple[int, int], contexts: tuple[int, int]
) -> None:
    """Budgets and settings that are reported to work (unsloth.ai/docs/models/qwen3.6, and the reports in expect.py)."""
    found = recommended(machine, NONE)
    assert found and found[1].fit
    assert found[0].name in names
    assert experts[0] <= found[1].fit.cpu_experts <= experts[1]
    assert contexts[0] <= found[1].fit.context <= contexts[1]


def test_where_nothing_fits_nothing_is_recommended() -> None:
    assert recommended(here(0.4), NONE) is None


def test_why_a_file_does_not_fit_is_said() -> None:
    found = of_entry(Q4, here(14), NONE)
    assert found.fit is None
    assert "would fit" in found.problem
    unknown = of_entry(catalogue().entries["Qwen3.6-35B-A3B-MTP-MXFP4_MOE"], here(64), NONE)
    assert unknown.problem == "Its size is not known."


def test_a_file_is_as_fast_as_it_was_measured(tiny: Path, lined: Path, tmp_path: Path) -> None:
    found = of_file(tiny, here(28), NONE, tmp_path)
    assert found.fit and found.expected
    assert not found.expected.measured
    keep(Calibration(((1, 0.1), (512, 4.0))), tiny, found.fit, tmp_path)
    again = of_file(tiny, here(28), NONE, tmp_path)
    assert again.expected == Expected(128.0, 10.0, measured=True)
    assert again.expected.first_token(256) == 2.0
    assert "single lines" in of_file(lined, here(28), NONE, tmp_path).problem
    assert "There is no model file" in of_file(tmp_path / "x.gguf", here(28), NONE, tmp_path).problem


def test_this_machine() -> None:
    found = look()
    assert found.problem == ""
    assert "CPU" in found.backends
    assert found.machine.cores >= 1
    assert 1e8 < found.bandwidth < 1e13
    assert look(measure=False).bandwidth == 0
    assert measure_memory(1, 0.0) > 0  # once is enough
