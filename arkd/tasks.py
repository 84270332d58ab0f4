"""The address by which the tasks' YAML files call their data and metrics."""

from arkd.evaluation.tasks import band, generated, load, open_ended, popqa, recalled

__all__ = ["band", "generated", "load", "open_ended", "popqa", "recalled"]
