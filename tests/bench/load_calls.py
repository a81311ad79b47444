"""Authenticated calls with relayed RTP from sipp against the whole platform.

    python tests/bench/load_calls.py [--rate 50] [--seconds 60] [--hold-s 2]

Starts `parley.allinone` as a child with a data folder of its own, registers the callees, lets one
sipp call and another answer and echo RTP, and prints one JSON line: calls, failures, set-up times,
CPU of the platform per call, and its resident memory before, during and after.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

SCENARIOS = Path(__file__).parent / "load"
READY_S = 60.0
GRACE_S = 60.0
SIP_PORT, TLS_PORT, API_PORT, WSI_PORT, HEALTH_PORT = 15060, 15061, 18080, 18081, 19090
CALLEE_PORT, CALLER_PORT, REGISTER_PORT = 15070, 15080, 15090


@contextmanager
def platform(folder: Path) -> Iterator[psutil.Process]:
    """Runs the platform; yields its process when it is ready."""
    env = os.environ | {
        "PARLEY_DATA": str(folder),
        "PARLEY_SIP_PORT": str(SIP_PORT),
        "PARLEY_SIP_TLS_PORT": str(TLS_PORT),
        "PARLEY_API_PORT": str(API_PORT),
        "PARLEY_WSI_PORT": str(WSI_PORT),
        "PARLEY_HEALTH_PORT": str(HEALTH_PORT),
        "PARLEY_LOG_LEVEL": "warning",
    }
    log = folder / "log.txt"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "parley.allinone"], env=env, stdout=output, stderr=output
        )
    try:
        deadline = time.perf_counter() + READY_S
        while "Parley is ready" not in log.read_text():
            if child.poll() is not None or time.perf_counter() > deadline:
                raise SystemExit(f"the platform did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield psutil.Process(child.pid)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)
        errors = [line for line in log.read_text().splitlines() if '"level":"error"' in line]
        if errors:
            raise SystemExit("errors in the log:\n" + "\n".join(errors[:10]))


@contextmanager
def child(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a sipp; ends it on the way out."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def silence(folder: Path) -> Path:
    """Writes two seconds of G.711 for sipp to stream."""
    path = folder / "voice.raw"
    path.write_bytes(bytes((n * 7) % 256 for n in range(16000)))
    return path


def scenario(name: str, folder: Path) -> str:
    """Returns a scenario's path, with the media file put in."""
    text = (SCENARIOS / f"{name}.xml").read_text().replace("MEDIA_FILE", str(silence(folder)))
    path = folder / f"{name}.xml"
    path.write_text(text)
    return str(path)


def sipp(folder: Path, name: str, port: int, *options: str) -> list[str]:
    """The command line of one sipp."""
    command = ["sipp", "-sf", scenario(name, folder), "-i", "127.0.0.1", "-p", str(port)]
    command += ["-mi", "127.0.0.1", "-key", "domain", "demo.localhost", "-nostdin"]
    return [*command, "-key", "callee_port", str(CALLEE_PORT), *options]


def users(folder: Path, extensions: list[dict[str, str]]) -> tuple[Path, Path]:
    """Writes the callers' and the callees' CSV files."""
    half = len(extensions) // 2
    paths = []
    for name, chosen in (("callers", extensions[:half]), ("callees", extensions[half:])):
        lines = ["SEQUENTIAL"]
        for own, other in zip(chosen, extensions[half:], strict=False):
            credentials = f"[authentication username={own['number']} password={own['password']}]"
            lines.append(";".join((own["number"], credentials, other["number"])))
        path = folder / f"{name}.csv"
        path.write_text("\n".join(lines) + "\n")
        paths.append(path)
    return paths[0], paths[1]


def last_row(path: Path) -> dict[str, str]:
    """The final row of sipp's statistics."""
    lines = path.read_text().splitlines()
    return dict(zip(lines[0].split(";"), lines[-1].split(";"), strict=False))


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Runs the load and returns the figures."""
    total = arguments.rate * arguments.seconds
    with platform(folder) as process:
        demo = json.loads((folder / "demo.json").read_text())
        callers, callees = users(folder, demo["extensions"])
        target = f"127.0.0.1:{SIP_PORT}"
        register = sipp(folder, "register", REGISTER_PORT, "-inf", str(callees), "-m", "5", target)
        subprocess.run(register, check=True, capture_output=True, timeout=30)
        answer = sipp(folder, "callee", CALLEE_PORT, "-rtp_echo", "-mp", "6000")
        statistics = folder / "stat.csv"
        call = sipp(
            folder, "caller", CALLER_PORT, "-inf", str(callers), "-m", str(total),
            "-r", str(arguments.rate), "-d", str(round(arguments.hold_s * 1000)),
            "-trace_stat", "-stf", str(statistics), "-fd", "1", "-trace_err",
            "-error_file", str(folder / "errors.txt"),
            "-mp", "40000", target,
        )  # fmt: skip
        with child(answer, folder):
            warm = [*call[:-1], "-m", "100", target]
            subprocess.run(warm, stdout=subprocess.DEVNULL, cwd=folder, timeout=60, check=False)
            before_mib = process.memory_info().rss / 2**20
            cpu = process.cpu_times()
            trail_mib = [round(before_mib, 1)]
            deadline = time.perf_counter() + arguments.seconds + arguments.hold_s + GRACE_S
            with child(call, folder) as caller:
                while caller.poll() is None and time.perf_counter() < deadline:
                    time.sleep(1.0)
                    trail_mib.append(round(process.memory_info().rss / 2**20, 1))
            after = process.cpu_times()
            time.sleep(arguments.settle_s)
            after_mib = process.memory_info().rss / 2**20
        row = last_row(statistics)
    spent_s = after.user + after.system - cpu.user - cpu.system
    return {
        "rate": arguments.rate,
        "calls": int(row["SuccessfulCall(C)"]),
        "failed": int(row["FailedCall(C)"]),
        "resent": int(row["Retransmissions(C)"]),
        "setup_ms_mean": row["ResponseTime1(C)"],
        "cpu_ms_per_call": round(spent_s * 1000 / total, 3),
        "core_percent": round(spent_s * 100 / (arguments.seconds + arguments.hold_s), 1),
        "rss_mib_before": round(before_mib, 1),
        "rss_mib_each_10_s": trail_mib[::10],
        "rss_mib_after": round(after_mib, 1),
    }


def main() -> int:
    """Prints the figures; the exit status says whether every call went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--hold-s", type=float, default=2.0)
    parser.add_argument("--settle-s", type=float, default=35.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-load-") as folder:
        figures = measure(arguments, Path(folder))
    print(json.dumps(figures))
    return 0 if figures["failed"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
