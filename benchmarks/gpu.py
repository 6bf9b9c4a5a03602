"""Check and measure the toolkit on a GPU: tests, agreement with the CPU, speed, memory, sampling, evaluation, resume.

    python benchmarks/gpu.py                                            # at most 8 minutes on one card
    python benchmarks/gpu.py --device cpu --seconds 0.5 --minutes 3     # a short run on a machine without one

Each part runs in a process of its own, with a time limit, and writes every result at once: an error, a crash or the limit ends
that part only, and is recorded. Tables are printed; `--out` receives results.json and results.md. No network is used: images are
scikit-learn's digits enlarged to 28x28, or MNIST if $SIMULACRA_DATA has it, and random images.

Speed: a training step includes loss, gradients, optimizer and EMA; batches are on the device, so that networks are measured and
not the loading of data. FLOPs are counted by torch.utils.flop_counter over one step; their fraction is of the measured bfloat16
peak.
"""

import argparse
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "engine"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
import torch
from gpu_cases import Case, exact_float32, largest_difference, three_losses, trainer_of
from torch.utils.flop_counter import FlopCounterMode

import simulacra
from simulacra import families
from simulacra.core.capabilities import Samples, SamplesIteratively
from simulacra.core.condition import UNCONDITIONAL
from simulacra.core.device import images_per_call
from simulacra.core.randomness import noise
from simulacra.engine import checkpoint, hardware, speed
from simulacra.engine.loop import Trainer

ROOT = Path(__file__).resolve().parents[1]
PARTS = {"facts": 0.08, "tests": 0.24, "training": 0.32, "sampling": 0.12, "evaluation": 0.08, "agreement": 0.08, "resume": 0.08}
"""The parts, and the fraction of the time that each may take; a part that needs less leaves more to the later ones."""

Row = dict[str, Any]
Emit = Callable[..., None]


def cases() -> list[Case]:
    """Return what is trained, the most important first."""
    every = [Case(name, preset="small" if name == "cyclegan" else "") for name in families.names()]
    large = [
        Case("diffusion", "ddpm", 3, 32, 128),
        Case("diffusion", batch=1024),
        Case("vae", batch=1024),
        Case("dcgan", "64", 3, 64, 256),
        Case("cyclegan", "", 3, 64, 16),
        Case("flow", "medium", 3, 32, 256),
    ]
    compiled = [Case(name, compiled=True) for name in ("diffusion", "vae", "dcgan", "vae_gan")]
    return [*every, *large, *compiled, Case("diffusion", "ddpm", 3, 32, 128, compiled=True)]


# --- data


def mnist_like(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 [n 28 28] and labels: MNIST's test images if present, otherwise enlarged digits of scikit-learn."""
    folder = Path(os.environ.get("SIMULACRA_DATA", "/nonexistent"))
    for place in (folder, folder / "mnist"):
        files = [place / f"t10k-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        if all(file.is_file() for file in files):
            pixels, labels = (gzip.decompress(file.read_bytes()) for file in files)
            images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)[:count]
            return images, np.frombuffer(labels, np.uint8, offset=8)[:count].astype(np.int64)
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = np.clip(digits.images * 16, 0, 255).astype(np.uint8)
    enlarged = np.pad(small.repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2)))
    return enlarged[:count], digits.target[:count].astype(np.int64)


# --- parts


def facts(options: argparse.Namespace, emit: Emit) -> None:
    device = torch.device(options.device)
    found: Row = {"torch": torch.__version__, "python": sys.version.split()[0], **hardware.describe()}
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        found |= {
            "memory GiB": round(card.total_memory / 2**30, 1),
            "CUDA": torch.version.cuda,
            "cuDNN": torch.backends.cudnn.version(),
            "capability": ".".join(map(str, torch.cuda.get_device_capability(device))),
        }
    for name, value in found.items():
        emit(name, value=value)
    emit("images per call, 28x28 grey", value=images_per_call(device, 28 * 28, 256))
    emit("images per call, 256x256 colour", value=images_per_call(device, 3 * 256 * 256, 16))
    torch.set_float32_matmul_precision("highest")
    measure(emit, "matrix product, float32, TFLOP/s", lambda: speed.matmul(device, torch.float32) / 1e3)
    torch.set_float32_matmul_precision("high")
    measure(emit, "matrix product, TF32, TFLOP/s", lambda: speed.matmul(device, torch.float32) / 1e3)
    torch.set_float32_matmul_precision("highest")
    measure(emit, "matrix product, bfloat16, TFLOP/s", lambda: speed.matmul(device, torch.bfloat16) / 1e3)
    measure(emit, "3x3 convolution, bfloat16, TFLOP/s", lambda: speed.convolution(device, torch.bfloat16) / 1e3)
    measure(emit, "copy on the device, GiB/s", lambda: speed.copy(device))
    if device.type == "cuda":
        measure(emit, "copy from pinned memory, GiB/s", lambda: pinned_copy(device))


def measure(emit: Emit, name: str, work: Callable[[], float]) -> None:
    with Guarded(emit, name):
        emit(name, value=round(work(), 3))


def pinned_copy(device: torch.device) -> float:
    source = torch.ones(2**28, dtype=torch.uint8).pin_memory()
    source.to(device, non_blocking=True)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(4):
        source.to(device, non_blocking=True)
    torch.cuda.synchronize()
    return 4 * source.numel() / 2**30 / (time.perf_counter() - began)


def tests(options: argparse.Namespace, emit: Emit) -> None:
    try:
        import hypothesis  # noqa: F401 - the tests need both
        import pytest  # noqa: F401
    except ImportError as error:
        emit("pytest", value=f"skipped: {error}")
        return
    flags = "-o addopts=--import-mode=importlib -o filterwarnings=default -m gpu -p no:cacheprovider -v -rfE --tb=short"
    command = [sys.executable, "-m", "pytest", *flags.split()]
    environment = {
        **environment_of(),
        "SIMULACRA_TEST_DEVICE": options.device,
        "SIMULACRA_TEST_FAMILIES": ",".join(chosen(options)),
    }
    files = ["tests/engine/test_gpu.py"]
    log = options.out / "tests.txt"
    with log.open("w") as file:
        process = subprocess.Popen([*command, *files], cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            code = process.wait(timeout=max(5.0, options.until - time.time()))
        except subprocess.TimeoutExpired:
            process.kill()
            code = -1
            emit("pytest -m gpu", error="stopped: the time limit of this part; see tests.txt")
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    emit("pytest -m gpu", value=lines[-1] if lines else "no output", **({} if code == 0 else {"error": f"exit code {code}"}))
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            emit("failed test", error=line)


def training(options: argparse.Namespace, emit: Emit) -> None:
    device = torch.device(options.device)
    peak = bfloat16_peak(options)
    for case in cases():
        if case.family not in chosen(options) or (device.type == "cpu" and (case.compiled or case.batch > 128 or case.side > 28)):
            continue
        case = replace(case, batch=4) if device.type == "cpu" else case
        if past(options, reserve=45 if case.compiled else 5):
            emit(f"{case.name}{', compiled' if case.compiled else ''}", error="skipped: no time left")
            continue
        name = f"{case.name}{', compiled' if case.compiled else ''}"
        with Guarded(emit, name):
            emit(name, **trained(case, device, options.seconds, peak))
        free(device)


def trained(case: Case, device: torch.device, seconds: float, peak: float | None) -> Row:
    """Return the speed of training a case in bfloat16."""
    began = time.perf_counter()
    trainer = trainer_of(case, device, precision="bfloat16" if device.type == "cuda" else "auto", compile=case.compiled)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(3 if device.type == "cuda" else 1):
        trainer.play()
    synchronize(device)
    found: Row = {"start s": round(time.perf_counter() - began, 1)}
    steps, began = 0, time.perf_counter()
    while not steps or time.perf_counter() - began < seconds:
        for _ in range(5 if device.type == "cuda" else 1):
            trainer.play()
            steps += 1
        synchronize(device)
    passed = time.perf_counter() - began
    losses = trainer.report()  # raises where a loss is not finite
    found |= {
        "images/s": round(steps * case.batch * trainer.batches_per_step / passed, 1),
        "ms/step": round(1e3 * passed / steps, 2),
    }
    if device.type == "cuda":
        found["peak MiB"] = round(torch.cuda.max_memory_allocated() / 2**20)
    found["GFLOP/step"] = flops(trainer_of(case, device) if case.compiled else trainer)
    if peak and found["GFLOP/step"]:
        found["of peak %"] = round(100 * found["GFLOP/step"] / 1e3 * steps / passed / peak, 1)
    found["loss"] = next(round(value, 4) for name, value in losses.items() if name.endswith("/loss"))
    return found


def flops(trainer: Trainer) -> float | None:
    """Return the GFLOPs of one training step, None where the counter cannot follow it."""
    try:
        with FlopCounterMode(display=False) as counter:
            trainer.play()
    except Exception:
        return None
    return round(counter.get_total_flops() / 1e9, 3)


def bfloat16_peak(options: argparse.Namespace) -> float | None:
    rows = read_rows(options.out / "facts.jsonl")
    return next((row["value"] for row in rows if row["name"].startswith("matrix product, bfloat16") and "value" in row), None)


def dataset_of(count: int = 1500) -> Any:
    images, labels = mnist_like(count)
    return simulacra.from_array(images, labels, name="mnist-like", validation=0.1)


def short_run(family: str, options: argparse.Namespace, folder: Path, **settings: Any) -> Any:
    """Train a family for a few steps through the public API, with snapshots, and return the model."""
    common = {"duration": "12", "batch": 32, "snapshots": 1, "log_every": 4, "device": options.device, "seed": 0}
    if families.find(family).domains:
        images, _ = mnist_like(600)
        sets = {name: simulacra.from_array(images if name == "a" else 255 - images, name=name) for name in ("a", "b")}
        common |= {"dataset": simulacra.unpaired(**sets), "preset": "small", "batch": 8}
    else:
        common["dataset"] = dataset_of()
    return simulacra.train(family, out=folder / family, **{**common, **settings})


def sampling(options: argparse.Namespace, emit: Emit) -> None:
    count = 512 if options.device == "cuda" else 16
    with tempfile.TemporaryDirectory() as folder:
        for family in chosen(options):
            if past(options, reserve=5):
                emit(family, error="skipped: no time left")
                continue
            with Guarded(emit, family):
                began = time.perf_counter()
                iterative = issubclass(families.find(family), SamplesIteratively)
                settings = {"sampler": "dpmpp-2m", "sampling_steps": 20} if iterative else {}
                model = short_run(family, options, Path(folder), **settings)
                found: Row = {"train 12 steps s": round(time.perf_counter() - began, 2)}
                if issubclass(families.find(family), Samples):
                    model.sample(count)  # warm-up
                    began = time.perf_counter()
                    images = model.sample(count)
                    passed = time.perf_counter() - began
                    found |= {
                        "images/s": round(count / passed, 1),
                        "device": images.device.type,
                        "finite": bool(images.isfinite().all()),
                    }
                    again = model.sample(max(1, count // 4))
                    found["max diff to fewer images"] = difference(again, images[: len(again)])
                emit(family, **found)
        raw_sampling(options, emit)


def raw_sampling(options: argparse.Namespace, emit: Emit) -> None:
    """Measure the network alone: 20 steps of dpmpp-2m in bfloat16 and float32, batches on the device."""
    device = torch.device(options.device)
    for precision in (torch.bfloat16, torch.float32):
        name = f"diffusion 28x28, network alone, {str(precision).removeprefix('torch.')}"
        with Guarded(emit, name), torch.inference_mode():
            model = trainer_of(Case("diffusion"), device, sampler="dpmpp-2m", sampling_steps=20).family.eval()
            assert isinstance(model, SamplesIteratively)
            count = images_per_call(device, 28 * 28, 8)
            drawn = noise(0, 0, count, model.noise_shape).to(device)
            plan = replace(model.plan, precision=precision)
            sample_with_plan(model, drawn, plan)
            synchronize(device)
            began = time.perf_counter()
            sample_with_plan(model, drawn, plan)
            synchronize(device)
            emit(name, **{"images/s": round(count / (time.perf_counter() - began), 1), "images per call": count})
        free(device)


def sample_with_plan(model: SamplesIteratively, drawn: torch.Tensor, plan: Any) -> torch.Tensor:
    return model.sample_with_plan(drawn, UNCONDITIONAL, plan, lambda: None)


def evaluation(options: argparse.Namespace, emit: Emit) -> None:
    with tempfile.TemporaryDirectory() as folder, Guarded(emit, "evaluate a VAE on digits"):
        model = simulacra.train(
            "vae", data="digits", out=Path(folder, "vae"), duration="200", batch=64, device=options.device, snapshots=1
        )
        began = time.perf_counter()
        result = model.evaluate(samples=200, particles=8, seed=0)
        seconds = round(time.perf_counter() - began, 1)
        emit("evaluate a VAE on digits", **{"s": seconds, "metrics": len(result["metrics"])})
        for name, item in sorted(result["metrics"].items()):
            emit(name, value=item.get("value"))
        for name, reason in sorted(result.get("not_applicable", {}).items()):
            emit(name, value=f"not applicable: {reason}")


def agreement(options: argparse.Namespace, emit: Emit) -> None:
    device = torch.device(options.device)
    exact_float32()
    for family in chosen(options):
        if past(options, reserve=3):
            emit(family, error="skipped: no time left")
            continue
        case = Case(family, preset="small" if family == "cyclegan" else "", batch=4 if device.type == "cpu" else 32)
        with Guarded(emit, family):
            expected = three_losses(case, torch.device("cpu"), "float32")
            found: Row = {}
            for precision in ("float32", "bfloat16"):
                got = three_losses(case, device, precision)
                found[f"loss, {precision}"] = float(f"{largest_difference(expected, got):.3g}")
            found |= sample_differences(case, device)
            emit(family, **found)
        free(device)


@torch.inference_mode()
def sample_differences(case: Case, device: torch.device) -> Row:
    """Return the largest differences of sampled images in [0, 1]: to the CPU, and on the device between batch sizes."""
    model = trainer_of(case, torch.device("cpu"), precision="float32").family.eval()
    if not isinstance(model, Samples):
        return {}
    few, many = (8, 24) if device.type == "cpu" else (16, 100)
    drawn = noise(3, 0, many, model.noise_shape)
    expected = model.generate(drawn[:few])
    model.to(device)
    large, small = model.generate(drawn.to(device)).cpu(), model.generate(drawn[:few].to(device)).cpu()
    return {"images": difference(small, expected), "images, other batch": difference(small, large[:few])}


def resume(options: argparse.Namespace, emit: Emit) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        straight, killed = folder / "straight", folder / "killed"
        total, every = ("1500", "50") if options.device == "cuda" else ("60", "20")
        flags = ["--data", "digits", "--batch", "64", "--for", total, "--checkpoint-every", every, "--snapshots", "1"]
        flags += ["--device", options.device, "--log-every", "10"]
        command(options, "train", "vae", *flags, "--out", str(straight))
        process = subprocess.Popen(
            words("train", "vae", *flags, "--out", str(killed)), env=environment_of(), stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not checkpoint.paths(killed / "checkpoints") and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        step = checkpoint.read_newest(killed / "checkpoints")[0].facts["step"]
        moved = folder / "moved"
        shutil.copytree(killed, moved)
        command(options, "resume", str(killed))
        emit("killed and resumed", **{"killed after step": step, "of": int(total), **weight_difference(straight, killed)})
        with Guarded(emit, "resumed on the CPU"):
            command(options, "resume", str(moved), "--device", "cpu")
            emit("resumed on the CPU", **{"killed after step": step, "of": int(total), **weight_difference(straight, moved)})


def weight_difference(one: Path, other: Path) -> Row:
    first, second = (checkpoint.read_newest(run / "checkpoints")[0].tensors for run in (one, other))
    pairs = [(tensor, second[group][name]) for group, named in first.items() for name, tensor in named.items()]
    worst = max(difference(a.double(), b.double()) for a, b in pairs)
    return {"identical bits": all(torch.equal(a, b) for a, b in pairs), "max difference": worst}


def words(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "simulacra", *arguments]


def environment_of() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


def command(options: argparse.Namespace, *arguments: str) -> None:
    limit = max(20.0, options.until - time.time())
    done = subprocess.run(words(*arguments), env=environment_of(), capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode:
        raise RuntimeError(f"simulacra {arguments[0]} ended with {done.returncode}: {done.stderr[-800:]}")


# --- what parts share


def chosen(options: argparse.Namespace) -> list[str]:
    return [name for name in families.names() if not options.families or name in options.families.split(",")]


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(f"{(one.double() - other.double()).abs().max().item():.3g}") if one.numel() else 0.0


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def free(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()


def past(options: argparse.Namespace, reserve: float = 0.0) -> bool:
    """Return whether less than `reserve` seconds are left to this part; shorter parts keep a smaller reserve."""
    return time.time() + min(reserve, options.seconds * 15) > options.until


class Guarded:
    """Records an exception as a result."""

    def __init__(self, emit: Emit, name: str) -> None:
        self.emit, self.name = emit, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if error is None or isinstance(error, KeyboardInterrupt):
            return False
        self.emit(self.name, error=f"{type(error).__name__}: {str(error).strip()[:600]}")
        traceback.print_exception(error)
        return True


def read_rows(path: Path) -> list[Row]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


# --- the script


def run_part(options: argparse.Namespace) -> None:
    """Run one part in this process, writing every result at once."""
    torch.set_num_threads(options.threads or torch.get_num_threads())
    path = options.out / f"{options.part}.jsonl"
    if options.device == "cuda":
        torch.cuda.init()
    with path.open("a") as file:

        def emit(name: str, **values: Any) -> None:
            file.write(json.dumps({"name": name, **values}, default=str) + "\n")
            file.flush()

        with Guarded(emit, options.part):
            globals()[options.part](options, emit)


def main() -> None:
    options = arguments()
    if options.part:
        run_part(options)
        return
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU: use --device cpu to test this script")
    options.out.mkdir(parents=True, exist_ok=True)
    deadline = time.time() + 60 * options.minutes
    parts = [name for name in PARTS if not options.only or name in options.only.split(",")]
    results: dict[str, list[Row]] = {}
    for place, name in enumerate(parts):
        remaining = [PARTS[later] for later in parts[place:]]
        limit = max(5.0, (deadline - time.time()) * remaining[0] / sum(remaining))
        results[name] = in_process(name, options, limit)
        print(f"\n## {name}\n\n{table(results[name])}", flush=True)
        (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (options.out / "results.md").write_text("".join(f"## {part}\n\n{table(rows)}\n\n" for part, rows in results.items()))
    errors = [f"{part}: {row['name']}: {row['error']}" for part, rows in results.items() for row in rows if "error" in row]
    print(f"\n{len(errors)} errors" + "".join(f"\n- {error[:300]}" for error in errors))


def in_process(name: str, options: argparse.Namespace, limit: float) -> list[Row]:
    """Run a part in a process of its own, and return its results, with an error row if it crashed or was stopped."""
    path = options.out / f"{name}.jsonl"
    path.unlink(missing_ok=True)
    began = time.time()
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        "--part",
        name,
        "--device",
        options.device,
        "--out",
        str(options.out),
    ]
    command += ["--seconds", str(options.seconds), "--until", str(began + limit), "--threads", str(options.threads)]
    command += ["--families", options.families]
    with (options.out / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment_of(), start_new_session=True)
        try:
            code = process.wait(timeout=limit + 15)
            ending = (
                ""
                if code == 0
                else f"the process ended with exit code {code}: {(options.out / f'{name}.log').read_text()[-400:]}"
            )
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            ending = "stopped: the time limit of this part"
    rows = read_rows(path)
    rows += [{"name": "the whole part", "error": ending}] if ending else []
    return [*rows, {"name": "seconds", "value": round(time.time() - began, 1)}]


def table(rows: list[Row]) -> str:
    """Return rows as a Markdown table with one column for every key that occurs."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [keys, *([_cell(row.get(key)) for key in keys] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(keys))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _cell(value: object) -> str:
    text = "" if value is None else f"{value:,.6g}" if isinstance(value, float) else str(value)
    return text.replace("\n", " ").replace("|", "/")[:160]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0, help="time limit of all parts together")
    parser.add_argument("--seconds", type=float, default=2.0, help="duration of each speed measurement")
    parser.add_argument("--only", default="", help=f"parts to run, separated by commas: {', '.join(PARTS)}")
    parser.add_argument("--families", default="", help="families, separated by commas (default: all)")
    parser.add_argument("--out", type=Path, default=Path("runs_out/gpu"), help="folder of results.json, results.md and logs")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, default=float("inf"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out = options.out.resolve()
    return options


if __name__ == "__main__":
    main()
