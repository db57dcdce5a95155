"""The files for clusters and schedulers: they parse, name only files and commands that exist, and only known fields.

No Kubernetes is at hand; the fields come from KubeRay's types (ray-operator/apis/ray/v1) and Kubernetes' core/v1.
"""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cluster.metrics import MEASURES, USD
from jobs.cli.main import cli
from jobs.resolve import CODE_VERSION
from tests.support.places import ROOT

MANIFESTS = ROOT / "cluster" / "manifests"
PREFIX = "ray_"  # Ray puts it before every name of a metric


def words(text: str) -> set[str]:
    return set(text.split())


RAY_JOB = words(
    """activeDeadlineSeconds backoffLimit rayClusterSpec submitterPodTemplate metadata clusterSelector submitterConfig
    managedBy deletionStrategy entrypoint runtimeEnvYAML jobId submissionMode entrypointResources entrypointNumCpus
    entrypointNumGpus ttlSecondsAfterFinished shutdownAfterJobFinishes suspend"""
)
RAY_CLUSTER = words("""headGroupSpec workerGroupSpecs rayVersion enableInTreeAutoscaling autoscalerOptions authOptions
    headServiceAnnotations suspend""")
HEAD = {"serviceType", "headService", "enableIngress", "rayStartParams", "template"}
WORKERS = words("groupName replicas minReplicas maxReplicas numOfHosts rayStartParams template scaleStrategy")
REQUIRED = words("groupName minReplicas maxReplicas template")  # in the published CRD
POD = words(
    """securityContext tolerations nodeSelector priorityClassName serviceAccountName containers volumes restartPolicy
    terminationGracePeriodSeconds"""
)
CONTAINER = words("securityContext lifecycle name image resources volumeMounts env command args workingDir")
CRON_JOB = words(
    "schedule concurrencyPolicy successfulJobsHistoryLimit failedJobsHistoryLimit jobTemplate timeZone suspend"
)


def load(name: str) -> Any:
    return yaml.safe_load((MANIFESTS / name).read_text())


def check_pod(template: Any) -> None:
    spec = template["spec"]
    assert spec.keys() <= POD
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    for container in spec["containers"]:
        assert container.keys() <= CONTAINER
        assert container["image"].rpartition(":")[2] in {"cpu", "gpu"}  # for each of which there is a Dockerfile
        assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes


def check_ray_job(spec: Any) -> None:
    cluster = spec["rayClusterSpec"]
    assert spec.keys() <= RAY_JOB and cluster.keys() <= RAY_CLUSTER
    assert cluster["authOptions"]["mode"] == "token"
    assert all(group.keys() >= REQUIRED for group in cluster["workerGroupSpecs"])
    for group, allowed in [(cluster["headGroupSpec"], HEAD), *((g, WORKERS) for g in cluster["workerGroupSpecs"])]:
        assert group.keys() <= allowed
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        check_pod(group["template"])
    check_command(shlex.split(spec["entrypoint"]))


def check_command(command: list[str]) -> None:
    """Parses a ``troop`` command as the command line does."""
    program, name, *rest = command
    assert program.rpartition("/")[2] == "troop"
    cli.commands[name].make_context("troop", rest)


def test_ray_jobs_have_only_fields_that_kuberay_knows() -> None:
    job, nightly = load("rayjob.yaml"), load("raycronjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert (nightly["apiVersion"], nightly["kind"]) == ("ray.io/v1", "RayCronJob")
    check_ray_job(job["spec"])
    assert nightly["spec"].keys() == {"schedule", "jobTemplate"}
    ends_s = nightly["spec"]["jobTemplate"].pop("activeDeadlineSeconds")
    assert nightly["spec"]["jobTemplate"] == job["spec"]  # one sweep, once or every night
    minute, hour, *every = nightly["spec"]["schedule"].split()
    assert every == ["*"] * 3 and (minute + hour).isdigit() and 3600 < ends_s < 24 * 3600  # no night meets the next


def test_the_production_job_is_restricted_and_grows_from_nothing() -> None:
    """The fields were checked against the CRDs of KubeRay 1.6.2 and 1.7.0 with unknown ones forbidden."""
    documents = {part["kind"]: part for part in yaml.safe_load_all((MANIFESTS / "rayjob-production.yaml").read_text())}
    assert documents.keys() == {"Namespace", "ServiceAccount", "PriorityClass", "RayJob"}
    spec = documents["RayJob"]["spec"]
    check_ray_job(spec)
    cluster = spec["rayClusterSpec"]
    pods = [cluster["headGroupSpec"]["template"], *(group["template"] for group in cluster["workerGroupSpecs"])]
    for pod in (*pods, spec["submitterPodTemplate"]):
        check_pod(pod)
        assert pod["spec"]["serviceAccountName"] == documents["ServiceAccount"]["metadata"]["name"]
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all(c["securityContext"]["capabilities"] == {"drop": ["ALL"]} for c in pod["spec"]["containers"])
        names = {"troop-sweeps", None}
        assert pod["spec"].get("priorityClassName") in names
    assert cluster["enableInTreeAutoscaling"] and cluster["workerGroupSpecs"][0]["minReplicas"] == 0


def test_the_cron_job_for_older_kuberay_submits() -> None:
    manifest = load("cronjob.yaml")
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "CronJob")
    assert manifest["spec"].keys() <= CRON_JOB
    assert manifest["spec"]["concurrencyPolicy"] == "Forbid"
    job = manifest["spec"]["jobTemplate"]["spec"]
    check_pod(job["template"])
    check_command(job["template"]["spec"]["containers"][0]["command"])


def test_rays_launcher_takes_the_cluster() -> None:
    import ray.autoscaler
    from jsonschema import validate

    cluster = load("ray-cluster.yaml")
    schema = Path(ray.autoscaler.__file__).parent / "ray-schema.json"
    validate(cluster, json.loads(schema.read_text()))
    assert cluster["head_node_type"] in cluster["available_node_types"]
    workers = [node.get("max_workers", 0) for node in cluster["available_node_types"].values()]
    assert sum(workers) == cluster["max_workers"]


def test_versions_agree_with_what_is_installed() -> None:
    pinned = re.search(r"^ray==(\S+)", (ROOT / "requirements" / "gpu.txt").read_text(), re.MULTILINE)
    assert pinned and load("rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == pinned[1]


def test_units_and_crontab_run_a_command_that_exists() -> None:
    service, crontab = ((MANIFESTS / name).read_text() for name in ("troop.service", "crontab"))
    check_command(shlex.split(re.findall(r"^ExecStart=(.*)$", service, re.MULTILINE)[0]))
    (line,) = [line for line in crontab.splitlines() if not line.startswith("#")]
    check_command(shlex.split(line.partition("troop.lock ")[2].partition(" >>")[0]))
    assert len(line.partition(" cd ")[0].split()) == 5


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_understands_service_and_timer() -> None:
    command = ["systemd-analyze", "verify", MANIFESTS / "troop.service", MANIFESTS / "troop.timer"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    told = [line for line in found.stderr.splitlines() if "is not executable" not in line and line.startswith("troop")]
    assert not told, found.stderr


# Options of sbatch that the files use, from its manual; those without a value have "".
SBATCH = {
    "job-name": r"[a-z-]+", "nodes": r"\d+", "ntasks": r"\d+", "ntasks-per-node": r"\d+", "cpus-per-task": r"\d+",
    "gpus-per-node": r"\d+", "mem": r"\d+G", "time": r"(\d+-)?\d\d:\d\d:\d\d", "exclusive": "", "requeue": "",
    "open-mode": "append", "output": r"troop\S*-%(j|A-%a)\.log", "signal": r"B:TERM@\d+",
}  # fmt: skip
SLURM = sorted(path.name for path in MANIFESTS.glob("*.sbatch"))


@pytest.mark.parametrize("name", SLURM)
def test_batch_files_are_bash_with_known_options(name: str) -> None:
    text = (MANIFESTS / name).read_text()
    subprocess.run(["bash", "-n", MANIFESTS / name], check=True)
    head, body = text.partition("set -euo pipefail\n")[::2]
    lines = head.splitlines()
    assert lines[0] == "#!/bin/bash" and all(
        line.startswith("#") for line in lines
    )  # sbatch reads until the first command
    options = [line.removeprefix("#SBATCH --").partition("=")[::2] for line in lines if line.startswith("#SBATCH")]
    assert len(options) >= 8 and len(dict(options)) == len(options)
    for option, value in options:
        assert re.fullmatch(SBATCH[option], value), option
    assert "#SBATCH" not in body
    for line in re.findall(r"^ *(troop run .*?)(?: &)?$", body, re.MULTILINE):
        check_command(shlex.split(line))


def test_slurm_files_give_ray_options_that_it_has() -> None:
    from ray.scripts.scripts import cli as ray

    known = {
        f"ray {name}": {option for parameter in command.params for option in parameter.opts}
        for name, command in ray.commands.items()
    }
    known["ray symmetric-run"] = words("--address --min-nodes")  # which it reads itself
    used = 0
    for name in SLURM:
        for line in re.sub(r"\\\n *", "", (MANIFESTS / name).read_text()).splitlines():
            found = re.match(r"[^#]*?\b(ray (?:start|status|drain-node|get-auth-token|symmetric-run))(.*)", line)
            if found:
                used += 1
                given = re.findall(r"(?<= )--[a-z-]+", found[2].partition(" -- ")[0].partition(" >")[0])
                assert set(given) <= known[found[1]], line
    assert used == 7
    minutes = [re.search(r"TERM@(\d+)", (MANIFESTS / name).read_text()) for name in ("slurm-workers.sbatch",)]
    left = re.findall(r"TROOP_LEAVE:-(\d+)", (MANIFESTS / "slurm-workers.sbatch").read_text())
    assert minutes[0] and all(int(seconds) < int(minutes[0][1]) for seconds in left)


SKY_TASK = words("name workdir num_nodes resources secrets setup run envs file_mounts")  # sky.utils.schemas, 0.14
SKY_RESOURCES = words("accelerators disk_size use_spot infra instance_type cpus memory image_id any_of")


def test_skypilot_takes_the_task() -> None:
    task = load("skypilot.yaml")
    assert task.keys() <= SKY_TASK and task["resources"].keys() <= SKY_RESOURCES
    for script in (task["setup"], task["run"]):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    (line,) = re.findall(r"^ *(troop run .*)$", task["run"], re.MULTILINE)
    check_command(shlex.split(line))
    schemas = pytest.importorskip("sky.utils.schemas", reason="SkyPilot is not here")
    from jsonschema import validate

    validate(task, schemas.get_task_schema())


def test_kueue_knows_the_queues_and_has_room_for_the_job() -> None:
    """The fields were checked against the CRDs of Kueue (v1beta2, August 2026) with unknown ones forbidden."""
    parts = list(yaml.safe_load_all((MANIFESTS / "kueue.yaml").read_text()))
    assert {part["apiVersion"] for part in parts} == {"kueue.x-k8s.io/v1beta2"}
    flavors = {part["metadata"]["name"]: part for part in parts if part["kind"] == "ResourceFlavor"}
    (queue,) = [part["spec"] for part in parts if part["kind"] == "ClusterQueue"]
    (local,) = [part for part in parts if part["kind"] == "LocalQueue"]
    assert (
        local["spec"] == {"clusterQueue": "sweeps"}
        and f"queue-name: {local['metadata']['name']}" in (MANIFESTS / "kueue.yaml").read_text()
    )
    quotas: dict[str, str] = {}
    for group in queue["resourceGroups"]:
        for flavor in group["flavors"]:
            assert flavor["name"] in flavors
            assert [resource["name"] for resource in flavor["resources"]] == group["coveredResources"]
            quotas |= {resource["name"]: resource["nominalQuota"] for resource in flavor["resources"]}
    job = load("rayjob.yaml")["spec"]
    cpus = gpus = 0
    for group in (job["rayClusterSpec"]["headGroupSpec"], *job["rayClusterSpec"]["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        cpus += int(container["resources"]["requests"]["cpu"]) * group.get("replicas", 1)
        gpus += int(container["resources"]["limits"].get("nvidia.com/gpu", 0)) * group.get("replicas", 1)
    assert gpus <= int(quotas["nvidia.com/gpu"]) and cpus <= int(quotas["cpu"])
    assert {"suspend"} <= RAY_JOB and job["shutdownAfterJobFinishes"]  # what Kueue asks of a RayJob


@pytest.mark.parametrize("name", ["Dockerfile.gpu", "Dockerfile.cpu"])
def test_dockerfiles_copy_what_is_there_and_end_as_an_ordinary_user(name: str) -> None:
    text = re.sub(r"\\\n", " ", (MANIFESTS / name).read_text())
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    assert {keyword for keyword, _ in steps} <= {"FROM", "RUN", "ARG", "ENV", "WORKDIR", "COPY", "USER", "CMD"}
    for keyword, rest in steps:
        if keyword == "COPY":
            assert (ROOT / rest.split()[0]).exists()
        for path in re.findall(r"requirements/\S+", rest):
            assert (ROOT / path).exists()
    assert [rest for keyword, rest in steps if keyword == "USER"] == ["1000"]  # a number: runAsNonRoot refuses names
    check_command(json.loads(dict(map(tuple, steps))["CMD"]))


def test_images_carry_the_commit_and_no_repository() -> None:
    assert {".git", ".venv", "runs"} <= set((ROOT / ".dockerignore").read_text().split())
    for name in ("Dockerfile.gpu", "Dockerfile.cpu"):
        assert f"{CODE_VERSION}=$CODE_VERSION" in (MANIFESTS / name).read_text()


def test_pods_run_as_the_images_user_and_gpu_pods_bear_the_gpus_taint() -> None:
    groups = load("rayjob.yaml")["spec"]["rayClusterSpec"]
    pods = [group["template"]["spec"] for group in (groups["headGroupSpec"], *groups["workerGroupSpecs"])]
    assert [pod["securityContext"] for pod in pods] == [{"runAsNonRoot": True, "runAsUser": 1000}] * 3
    assert [pod.get("tolerations", [{}])[0].get("key") for pod in pods] == [None, "nvidia.com/gpu", None]


def test_a_gpu_pod_tells_ray_how_long_it_has() -> None:
    from ray.scripts.scripts import drain_node

    worker = load("rayjob.yaml")["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]
    shell, option, line = worker["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert (shell, option) == ("sh", "-c")
    drain, sleep = (shlex.split(part) for part in line.split(";"))
    assert drain[:2] == ["ray", "drain-node"]
    given = drain_node.make_context("drain-node", drain[2:]).params
    assert given["deadline_remaining_seconds"] < int(sleep[1]) < worker["terminationGracePeriodSeconds"]


def test_a_launched_cluster_has_our_token_and_a_system_that_is_new_enough() -> None:
    cluster = load("ray-cluster.yaml")
    assert cluster["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"
    assert all(kind["node_config"]["ImageId"] for kind in cluster["available_node_types"].values())


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    dashboard = json.loads((MANIFESTS / "grafana.json").read_text())
    known = {PREFIX + name for name in (*(measure.name for measure in MEASURES), USD)}
    asked = set(re.findall(r"ray_troop_\w+", json.dumps(dashboard)))
    assert asked <= known
    assert len(asked) >= len(known) - 2  # nearly all of them are shown
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)


def test_the_page_lists_every_manifest_and_every_metric() -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    assert [path.name for path in MANIFESTS.iterdir() if f"`{path.name}`" not in page] == []
    assert [measure.name for measure in MEASURES if f"`{PREFIX}{measure.name}` | {measure.meaning} |" not in page] == []


def test_help_of_every_command_works() -> None:
    for name in cli.commands:
        assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0
