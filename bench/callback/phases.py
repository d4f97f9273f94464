# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a line of JSON into $BENCH_PHASES for each thing that happens in a playbook: seconds since 1970, and what."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """A clock on the events of a run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "phases"

    def _write(self, what: str, **more: Any) -> None:
        with Path(os.environ["BENCH_PHASES"]).open("a", encoding="utf-8") as file:
            print(json.dumps({"at": time.time(), "what": what, **more}), file=file)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Ansible is up."""
        self._write("Ansible starts")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """A task starts."""
        self._write("between tasks")

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task has ended well."""
        self._write(result.task.action, seconds=result.result.get("seconds"))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """All tasks have ended."""
        self._write("between tasks")
