"""Runs the fuzz targets of `libs/sipcore/fuzz`, each for some seconds; prints a line for each.

libFuzzer searches with coverage. Cargo's stable toolchain and a C++ compiler are all that it needs:
the instrumentation is a pass that every rustc has, and the core, which is all that they run, has no
`unsafe`, so there is nothing for the sanitizers, which only nightly has, to find.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATE = ROOT / "libs" / "sipcore" / "fuzz"
BUILT = CRATE.parent / "target" / "fuzz"
INSTRUMENTED = " ".join(
    (
        "--cfg fuzzing",
        "-Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=4",
        "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
        "-Cllvm-args=-sanitizer-coverage-pc-table",
        "-Cllvm-args=-sanitizer-coverage-trace-compares",
    )
)
MESSAGES = ("tests/e2e/torture/rfc4475", "tests/e2e/torture/rfc5118", "tests/data/sip")
DESCRIPTIONS = ("tests/data/sdp",)
DEFAULT_S = 60
MAX_BYTES = 2048
MAX_INPUT_S = 5
TAIL_LINES = 40
DONE = re.compile(r"^#(\d+)\s+DONE\s+cov: (\d+) ft: \d+ corp: (\d+)/", re.MULTILINE)


def build() -> Path:
    """Builds all targets; returns the folder that they are in."""
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    host = version.partition("host: ")[2].split()[0]
    # With a target named, the flags are not for build scripts.
    flags = f'target.{host}.rustflags="{INSTRUMENTED}"'
    command = ["cargo", "build", "--quiet", "--release", "--features", "targets"]
    subprocess.run([*command, "--config", flags, "--target", host], cwd=CRATE, check=True)
    return BUILT / host / "release"


def seeds(target: str) -> list[str]:
    """Folders that a search begins with: whole texts, or values, one a line of a file."""
    values = CRATE / "seeds" / f"{target}.txt"
    if not values.exists():
        return [str(ROOT / folder) for folder in (DESCRIPTIONS if target == "sdp" else MESSAGES)]
    folder = BUILT / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, line in enumerate(values.read_bytes().splitlines()):
        (folder / str(number)).write_bytes(line)
    return [str(folder)]


def run(program: Path, seconds: int) -> bool:
    """Runs one target; returns whether everything held."""
    corpus, found = (BUILT / kind / program.name for kind in ("corpus", "found"))
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    options = (
        f"-max_total_time={seconds}",
        f"-max_len={MAX_BYTES}",
        f"-timeout={MAX_INPUT_S}",
        f"-artifact_prefix={found}/",
    )
    command = [str(program), *options, str(corpus), *seeds(program.name)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    match = DONE.search(done.stderr)
    if done.returncode or match is None:
        print(f"{program.name:8} broken; the last that it said:")
        print("\n".join(done.stderr.splitlines()[-TAIL_LINES:]))
        return False
    runs, branches, inputs = map(int, match.groups())
    print(
        f"{program.name:8} clean: {runs:,} runs, {branches} places, {inputs} inputs kept",
        flush=True,
    )
    return True


def main() -> int:
    """Runs all targets, or those that are named behind the seconds."""
    seconds = int(sys.argv[1]) if sys.argv[1:] else DEFAULT_S
    names = sys.argv[2:] or sorted(path.stem for path in (CRATE / "src" / "bin").glob("*.rs"))
    if shutil.which("c++") is None:
        print("libFuzzer is built from C++ sources: install a C++ compiler (package g++).")
        return 1
    folder = build()
    broken = [name for name in names if not run(folder / name, seconds)]
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
