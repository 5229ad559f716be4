"""The records that `--posterior auto` chooses from unless it is given others.

    python benchmarks/measured.py

Takes from docs/results what was timed live and compared with random actions, leaves of each record
what a choice needs, and writes configs/measured.ndjson.
"""

from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
NAMES = (
    "default", "location", "regimes", "discounting", "death-process", "drifting",
    "gain-or-reward", "number-game",
)  # fmt: skip
"""Files in docs/results; later ones are added to earlier ones."""
KEPT = (
    "schema", "world", "model", "posterior", "rule", "particles", "refine", "think", "steps",
    "seeds", "total", "deadline", "versions", "device", "seed",
)  # fmt: skip
CONFIG = ("proposer", "candidates", "explore")


def trimmed(row: dict) -> dict:
    """What a choice needs of a record, and where it comes from."""
    config = {name: row["config"].get(name) for name in CONFIG}
    gain = {"above_random": row["gain"]["above_random"]}
    return {name: row.get(name) for name in KEPT} | {"gain": gain, "config": config}


def main() -> None:
    """Write the file, one record a line."""
    found = []
    for name in NAMES:
        text = (ROOT / "docs" / "results" / f"{name}.ndjson").read_bytes()
        for line in text.splitlines():
            row = msgspec.json.decode(line)
            gain = row.get("gain") or {}
            timed = row.get("total") and gain.get("above_random") and row["rule"] != "random"
            # Somebody else's file is not there to be chosen.
            if timed and ".py:" not in row["posterior"] + row["model"] + row["rule"]:
                found.append(trimmed(row) | {"file": f"docs/results/{name}.ndjson"})
    place = ROOT / "configs" / "measured.ndjson"
    place.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in found))
    print(f"{len(found)} records in {place.relative_to(ROOT)}, {place.stat().st_size} bytes")


if __name__ == "__main__":
    main()
