"""MLflow: a SQLite store in RUN/mlflow, unless MLFLOW_TRACKING_URI is set."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_EXPERIMENT = "simulacra"


class MLflow:
    """Writes an MLflow run whose id is stored in the run folder; after a resume nothing is logged twice."""

    package = "mlflow"

    def __init__(self) -> None:
        self._client: Any = None
        self._run = ""
        self._logged: dict[str, int] = {}  # the last step of each value logged before a resume
        self._logs_images = True

    def start(self, settings: Mapping[str, object], folder: Path, step: int) -> None:
        """Open the run: a new one at step 0, otherwise the one with the stored id."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at import: disables usage reports
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # the default logs every created table
        logging.getLogger("alembic").setLevel(logging.WARNING)
        from mlflow.tracking import MlflowClient

        home = folder.absolute() / "mlflow"
        home.mkdir(exist_ok=True)
        own = os.environ.get("MLFLOW_TRACKING_URI")
        self._client = MlflowClient(own or f"sqlite:///{home / 'mlflow.db'}")
        kept = home / "run-id"
        if step and kept.exists():
            self._run = kept.read_text()
            self._client.update_run(self._run, status="RUNNING")
            for name in self._client.get_run(self._run).data.metrics:
                self._logged[name] = max(point.step for point in self._client.get_metric_history(self._run, name))
        else:
            self._begin(settings, folder.absolute().name, None if own else (home / "artifacts").as_uri())
            kept.write_text(self._run)
        artifacts = self._client.get_run(self._run).info.artifact_uri
        self._logs_images = bool(own) or artifacts.startswith(home.as_uri())  # not into the old path of a moved run folder

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values that are not yet logged for this step."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        new = [Metric(name, value, now, step) for name, value in values.items() if step > self._logged.get(name, -1)]
        self._client.log_batch(self._run, metrics=new)

    def image(self, step: int, name: str, path: Path) -> None:
        """Store the file under its name, which contains the step."""
        if self._logs_images:
            self._client.log_artifact(self._run, str(path), name)

    def finish(self) -> None:
        """Close the run."""
        self._client.set_terminated(self._run)

    def _begin(self, settings: Mapping[str, object], name: str, artifacts: str | None) -> None:
        from mlflow.entities import Param

        title = os.environ.get("MLFLOW_EXPERIMENT_NAME", _EXPERIMENT)
        known = self._client.get_experiment_by_name(title)
        experiment = known.experiment_id if known else self._client.create_experiment(title, artifact_location=artifacts)
        self._run = self._client.create_run(experiment, run_name=name).info.run_id
        self._client.log_batch(self._run, params=[Param(key, str(value)) for key, value in settings.items()])


TRACKER = MLflow
