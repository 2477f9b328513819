"""Makes an update bundle of this tree: its wheel, those it needs, hashes, a bill of materials, one signature."""

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from agent.update.bundle import written
from agent.update.manifest import REQUIREMENTS
from protocols.tlog import signer_from_seed

ROOT = Path(__file__).resolve().parent.parent.parent
KEY_NAME = "plumeline-release"


def wheels(into: Path, extras: str, kept: Path | None) -> None:
    """Our wheel, made now, and those of the pinned dependencies; a folder that is kept saves them for the next time."""
    into.mkdir()
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "-w", str(into), str(ROOT)], check=True)
    (own,) = into.glob("plumeline-*.whl")
    pinned = (ROOT / "constraints.txt").read_bytes() + extras.encode()
    store = kept / hashlib.sha256(pinned).hexdigest()[:16] if kept else None
    if store is None or not store.is_dir():
        wanted = f"plumeline[{extras}] @ {own.as_uri()}" if extras else str(own)
        fresh = Path(tempfile.mkdtemp(dir=kept)) if kept else into
        subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), "-w", str(fresh), wanted], check=True)
        if store is None:
            return
        os.replace(fresh, store)
    for one in store.glob("*.whl"):
        if not one.name.startswith("plumeline-"):
            shutil.copy2(one, into)


def requirements(folder: Path) -> str:
    """One pinned requirement for each wheel, with its hash (pip's hash-checking mode)."""
    lines = []
    for wheel in sorted((folder / "wheels").glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        lines.append(f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    return "".join(lines)


def main() -> int:
    """Make the bundle; 0 when it lies there."""
    line = argparse.ArgumentParser(prog="tools/bundle", description=__doc__)
    line.add_argument("--key", type=Path, required=True, help="file of the release key: a 32-byte Ed25519 seed, base64")
    line.add_argument("--key-name", default=KEY_NAME, help="name of the key, as stations pin it")
    line.add_argument("--out", type=Path, required=True, help="folder for the bundle")
    line.add_argument("--extras", default="page,reports,firmware", help="parts of the installation")
    line.add_argument("--kept", type=Path, help="folder in which wheels of dependencies stay for the next time")
    line.add_argument("--plain", action="store_true", help="without a bill of materials")
    arguments = line.parse_args()
    signer = signer_from_seed(arguments.key.read_text(encoding="ascii"), arguments.key_name)
    for folder in filter(None, (arguments.out, arguments.kept)):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        wheels(folder / "wheels", arguments.extras, arguments.kept)
        (folder / REQUIREMENTS).write_text(requirements(folder), encoding="ascii")
        # Without the audit tools a bundle has no bill of materials; a release is made with them.
        if not arguments.plain and importlib.util.find_spec("cyclonedx_py") is not None:
            program = [sys.executable, str(Path(__file__).with_name("sbom.py"))]
            words = ["--wheels", str(folder / "wheels"), "--out", str(folder / "sbom.json")]
            subprocess.run([*program, *words], check=True)
        (own,) = (folder / "wheels").glob("plumeline-*.whl")
        version = own.name.split("-")[1]
        target = arguments.out / f"plumeline-{version}.bundle"
        target.unlink(missing_ok=True)
        made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        manifest = written(folder, target, version, made, signer)
    told = {"bundle": str(target), "version": version, "files": len(manifest.files), "vkey": signer.vkey}
    print(json.dumps(told, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
