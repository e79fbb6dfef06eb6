"""sseload, which also keeps what the diagnosis of a run looks at.

With that, the run can be diagnosed anew after a change of a pattern.
"""

from __future__ import annotations

import os
import pickle
import sys
import zlib
from pathlib import Path
from unittest import mock

from sseload_users.__main__ import entry
from sseload_users.verdict.diagnosis import diagnose
from sseload_users.verdict.symptoms import Finding, Symptoms

#: The environment variable with the path of the file to keep it in.
VARIABLE = "DIAGNOSIS_SYMPTOMS"
#: Runs this module like sseload.
COMMAND = (sys.executable, "-m", __spec__.name if __spec__ else __name__)


def loaded(data: bytes) -> Symptoms:
    """Return the symptoms that were kept."""
    symptoms = pickle.loads(zlib.decompress(data))
    assert isinstance(symptoms, Symptoms)
    return symptoms


def main() -> int:
    def keeping(symptoms: Symptoms) -> list[Finding]:
        Path(os.environ[VARIABLE]).write_bytes(zlib.compress(pickle.dumps(symptoms)))
        return diagnose(symptoms)

    with mock.patch("sseload_users.report.build.diagnose", keeping):
        return entry()


if __name__ == "__main__":
    sys.exit(main())
