"""Writes the bill of materials (CycloneDX, JSON, reproducible) of what a set of wheels installs, or of .venv."""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
AUDIT_EXTRA = 'python -m pip install -c constraints.txt -e ".[audit]"'


def installed(wheels: Path, folder: Path) -> Path:
    """The Python of an environment that holds these wheels and nothing else."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "-q", "--disable-pip-version-check"]
    files = sorted(str(one) for one in wheels.glob("*.whl"))
    subprocess.run([*pip, "install", "--no-index", "--no-deps", *files], check=True)
    # What only installed the others is no part of them.
    subprocess.run([*pip, "uninstall", "-y", "setuptools", "pip"], check=True)
    return python


def main() -> int:
    """Write it; 2 where the audit tools are missing."""
    line = argparse.ArgumentParser(prog="tools/sbom", description=__doc__)
    line.add_argument("--out", type=Path, default=Path("sbom.json"))
    line.add_argument("--wheels", type=Path, help="folder of wheels; absent: all that .venv holds")
    arguments = line.parse_args()
    if importlib.util.find_spec("cyclonedx_py") is None:
        print(f"the audit tools are not installed: {AUDIT_EXTRA}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        python = installed(arguments.wheels, Path(scratch, "venv")) if arguments.wheels else Path(sys.executable)
        how = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--of", "JSON"]
        program = [sys.executable, "-m", "cyclonedx_py", "environment", *how, "-o", str(arguments.out), str(python)]
        return subprocess.run(program, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
