"""The bill of materials: every locked package with its hashes, as CycloneDX 1.6, written by cyclonedx-bom from the lock."""

import json
import subprocess
import sys
from pathlib import Path


def write(lock: Path, output: Path) -> int:
    """Write the bill to ``output``. The same lock gives the same bytes."""
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(lock), "--output-reproducible", "--spec-version", "1.6"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        print(f"sbom: {run.stderr.strip()}", file=sys.stderr)
        return 1
    bill = json.loads(run.stdout)
    output.write_text(json.dumps(bill, indent=1) + "\n")
    hashed = sum(1 for c in bill["components"] if any(r.get("hashes") for r in c.get("externalReferences", [])))
    print(f"sbom: {len(bill['components'])} packages, {hashed} with hashes, in {output}")
    return 0
