"""Where the set-up puts things: all of it inside this checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
NODE_MODULES = ROOT / "node_modules"

PACKAGES = ("talon", "intents", "vault", "signer", "guardrails", "chains", "anvil")
