"""The Dockerfile and the Kubernetes manifest: a user without rights, a read-only root, probes, and no secret."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from riskml.cli.app import app
from riskml.release.container import PUBLIC, STATE, TOKEN, USER, Container, container_files
from riskml.release.sign import fingerprint, new_keys, public_of
from riskml.serve.settings import TOKEN as TOKEN_NAME

PLAIN = Container("ato-0.1.0.riskml", "ato-0.1.0+abcdef012345", "ato", "0.1.0", "add", "5" * 64, "3.11", "0.1.0")


def instructions(text: str) -> list[tuple[str, str]]:
    """A Dockerfile as its instructions, comments left out and continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def manifest(container: Container) -> dict[str, Any]:
    """The documents of the manifest by kind."""
    return {body["kind"]: body for body in yaml.safe_load_all(container_files(container)["kubernetes.yaml"])}


def test_the_image_runs_as_nobody_and_checks_the_release() -> None:
    """Two steps from one pinned Python; the release's hash is compared and the release verified before it is kept."""
    found = instructions(container_files(PLAIN)["Dockerfile"])
    words = [word for word, _ in found]
    known = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "LABEL", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL"}
    assert set(words) <= known | {"HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert found[0] == ("ARG", "PYTHON=python:3.11-slim") and words.count("FROM") == 2
    build, final = found[: words.index("FROM", 2)], found[words.index("FROM", 2) :]
    runs = " ".join(rest for word, rest in build if word == "RUN")
    assert f'echo "{"5" * 64}  ato-0.1.0.riskml" | sha256sum -c -' in runs and "riskml verify ato-0.1.0.riskml" in runs
    assert "chmod -R a+rX,go-w /opt/riskml" in runs
    assert [rest for word, rest in final if word == "USER"] == [f"{USER}:{USER}"]
    order = [word for word, _ in final]
    assert order.index("USER") < order.index("ENTRYPOINT") and "RUN" not in order[order.index("USER") :]
    assert not [rest for word, rest in found if word in ("ENV", "ARG") and re.search("(?i)token|secret|key", rest)]
    assert ("VOLUME", STATE) in final and ("EXPOSE", "8000") in final


def test_the_command_is_one_that_riskml_understands() -> None:
    """Entry point and arguments together are words that the command line takes."""
    found = dict(instructions(container_files(PLAIN)["Dockerfile"]))
    entry, more = json.loads(found["ENTRYPOINT"]), json.loads(found["CMD"])
    assert entry[:3] == ["riskml", "serve", "ato-0.1.0.riskml"] and f"{TOKEN}/token" in entry
    assert "--host" in more and "127.0.0.1" not in more
    result = CliRunner().invoke(app, [*entry[1:], *more], standalone_mode=False)
    assert result.exception is None or "token" in str(result.exception)  # parsed; the token is not on this machine
    probe = shlex.split(found["HEALTHCHECK"])
    assert "CMD" in probe and "/health" in found["HEALTHCHECK"]


def test_only_the_release_enters_the_image() -> None:
    """Everything else in the folder is ignored, the facts of the run too."""
    files = container_files(PLAIN)
    assert files[".dockerignore"].split() == ["*", "!ato-0.1.0.riskml"]
    copied = [rest for word, rest in instructions(files["Dockerfile"]) if word == "COPY"]
    assert copied == ["ato-0.1.0.riskml /opt/riskml/", "--from=build /opt/riskml /opt/riskml"]
    assert set(files) == {"Dockerfile", ".dockerignore", "kubernetes.yaml"}


def test_the_pod_may_do_nothing_it_need_not() -> None:
    """Not root, read-only root, no capabilities, no escalation, no account; probes ask what the server answers."""
    body = manifest(PLAIN)
    pod = body["StatefulSet"]["spec"]["template"]["spec"]
    (box,) = pod["containers"]
    security = pod["securityContext"]
    assert security["runAsNonRoot"] and security["runAsUser"] == USER and security["fsGroup"] == USER
    assert security["seccompProfile"] == {"type": "RuntimeDefault"} and not pod["automountServiceAccountToken"]
    assert box["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    paths = {name: box[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"startupProbe": "/ready", "readinessProbe": "/ready", "livenessProbe": "/health"}
    assert box["resources"]["limits"]["memory"] and box["resources"]["requests"]["cpu"]
    mounts = {mount["name"]: mount for mount in box["volumeMounts"]}
    assert mounts["state"]["mountPath"] == STATE and mounts["token"] == {
        "name": "token",
        "mountPath": TOKEN,
        "readOnly": True,
    }
    named = {volume["name"] for volume in pod["volumes"]}
    named |= {claim["metadata"]["name"] for claim in body["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    assert named == set(mounts)


def test_the_manifest_holds_together_and_holds_no_secret() -> None:
    """Selectors match labels, ports have their names, one pod writes the log; the token is named and not written."""
    body = manifest(PLAIN)
    spec = body["StatefulSet"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels == body["Service"]["spec"]["selector"]
    assert body["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    (port,) = spec["template"]["spec"]["containers"][0]["ports"]
    assert body["Service"]["spec"]["ports"][0]["targetPort"] == port["name"] == "http"
    assert spec["replicas"] == 1 and spec["serviceName"] == body["Service"]["metadata"]["name"]
    assert set(body) == {"StatefulSet", "Service", "NetworkPolicy"}
    text = container_files(PLAIN)["kubernetes.yaml"]
    assert TOKEN_NAME not in text and not re.search(r"(?i)(stringData|password|apiKey)", text)


@pytest.mark.parametrize("name", ["no", "7days", "A_b-C", "x" * 64, "--"])
def test_any_release_name_gives_a_sound_manifest(name: str) -> None:
    """Names stay texts of at most 63 characters as Kubernetes takes them, whatever YAML would read into them."""
    body = manifest(Container("a-1.riskml", "a", name, "1.10+b", "shadow", "0" * 64, "3.11", "1"))
    for one in body.values():
        made = one["metadata"]["name"]
        assert isinstance(made, str) and re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", made) and len(made) <= 52
    image = body["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image.endswith(":1.10-b")


def test_a_signed_release_brings_the_key_it_is_checked_with(tmp_path: Any) -> None:
    """The public key goes along in the form `--trust` reads, and both build and server demand it."""
    keys = new_keys(tmp_path)
    signed = Container(**{**PLAIN.__dict__, "public": public_of(keys.private)})
    files = container_files(signed)
    assert files[PUBLIC] == keys.public.read_text()
    assert keys.fingerprint == fingerprint(public_of(keys.private))
    found = instructions(files["Dockerfile"])
    assert f"verify ato-0.1.0.riskml --trust {PUBLIC}" in " ".join(rest for word, rest in found if word == "RUN")
    entry = json.loads(dict(found)["ENTRYPOINT"])
    assert entry[entry.index("--trust") + 1] == PUBLIC
    assert files[".dockerignore"].split() == ["*", "!ato-0.1.0.riskml", f"!{PUBLIC}"]
    assert not any("PRIVATE" in text for text in files.values())


def test_the_same_facts_give_the_same_files() -> None:
    """No date and no chance in them."""
    once, twice = (hashlib.sha256(repr(dict(container_files(PLAIN))).encode()).hexdigest() for _ in range(2))
    assert once == twice
