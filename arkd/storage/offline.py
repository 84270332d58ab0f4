"""Every library is kept off the network; who set `HF_HUB_OFFLINE=1` himself keeps `hub` in, too."""

from __future__ import annotations

import os

SWITCHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE")
OURS = "ARKD_SET_OFFLINE"  # which of them are our doing; child processes inherit it


def keep_offline() -> None:
    """Keep every library off the network, and note which switches the user had not set himself."""
    ours = {*os.environ.get(OURS, "").split(), *(s for s in SWITCHES if s not in os.environ)}
    for switch in ours:
        os.environ.setdefault(switch, "1")
    os.environ[OURS] = " ".join(sorted(ours))


def forbidden() -> bool:
    """Tell whether the user himself has said that nothing is to be fetched."""
    ours = os.environ.get(OURS, "").split()
    values = (os.environ.get(s, "") for s in SWITCHES[:2] if s not in ours)
    return any(value.upper() in ("1", "ON", "YES", "TRUE") for value in values)
