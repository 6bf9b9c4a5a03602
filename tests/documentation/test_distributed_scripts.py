"""The scripts of the guide to distributed training can be read by the programs that they are for."""

import re
import subprocess
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "distributed.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("script", blocks("bash"))
def test_bash_reads_every_script(script):
    assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False).stderr == ""


def test_the_job_of_kubernetes_trains_the_same_in_every_container():
    yaml = pytest.importorskip("yaml", reason="the packages of the documentation are not installed")
    (job,) = map(yaml.safe_load, blocks("yaml"))
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    pods = [replica["template"]["spec"] for replica in job["spec"]["pytorchReplicaSpecs"].values()]
    assert len(pods) == 2
    assert pods[0] == pods[1]
    (container,) = pods[0]["containers"]
    assert container["name"] == "pytorch"
    assert container["command"] == ["python", "-m", "simulacra"]
