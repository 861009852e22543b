"""What it takes to run a release in a container: a Dockerfile, what goes into the image, and a Kubernetes manifest.

In go the facts of a release that was just built; out come texts, the same from the same facts. The image runs as a
user without rights over a read-only root, holds no secret and checks the release while it is built; the token comes
from a Kubernetes secret that somebody with the right to do so makes. Nothing is built or sent anywhere here.
"""

from __future__ import annotations

import base64
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Container", "container_files"]

USER = 10_001  # a number, so that Kubernetes can see that it is not root
PORT = 8000
STATE, TOKEN = "/var/lib/riskml", "/run/secrets/riskml"  # the log and, for its processor, compiled code; the secret
PUBLIC = "trusted.pub"
_ED25519 = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: what stands before the 32 bytes of a public key
_LABEL = re.compile("[^a-z0-9-]+")


@dataclass(frozen=True)
class Container:
    """What the files speak of: the release and what it was made with.

    ``sha256`` is of the file; ``python`` and ``riskml`` are versions; ``public`` are the 32 bytes of the key that
    signed it, None for a release that nobody signed.
    """

    file: str
    id: str
    name: str
    version: str
    stage: str
    sha256: str
    python: str
    riskml: str
    public: bytes | None = None

    @property
    def kept(self) -> tuple[str, ...]:
        """Files that enter the image."""
        return (self.file,) if self.public is None else (self.file, PUBLIC)


def container_files(container: Container) -> Mapping[str, str]:
    """Texts by file name, to stand in one folder with the release."""
    ignored = "\n".join(["*", *(f"!{name}" for name in container.kept)]) + "\n"
    files = {"Dockerfile": _dockerfile(container), ".dockerignore": ignored, "kubernetes.yaml": _manifest(container)}
    return files if container.public is None else {**files, PUBLIC: _pem(container.public)}


def _dockerfile(container: Container) -> str:
    """Two steps: install and check, then copy what runs."""
    c, signed = container, container.public is not None
    trust = f" --trust {PUBLIC}" if signed else ""
    told = f', "--trust", "{PUBLIC}"' if signed else ""
    return textwrap.dedent(f"""\
        # {c.id}, stage {c.stage}. Build in this folder: docker build -t {_slug(c.name)}:{_tag(c.version)} .
        ARG PYTHON=python:{c.python}-slim

        FROM ${{PYTHON}} AS build
        # A wheel's URL or another index serves as well: --build-arg RISKML=...
        ARG RISKML="riskml[serve]=={c.riskml}"
        RUN python -m venv /opt/riskml/venv \\
         && /opt/riskml/venv/bin/pip install --no-cache-dir "${{RISKML}}"
        WORKDIR /opt/riskml
        COPY {" ".join(c.kept)} /opt/riskml/
        RUN echo "{c.sha256}  {c.file}" | sha256sum -c - \\
         && venv/bin/riskml verify {c.file}{trust} \\
         && chmod -R a+rX,go-w /opt/riskml

        FROM ${{PYTHON}}
        LABEL org.opencontainers.image.title="{c.name}" \\
              org.opencontainers.image.version="{c.version}" \\
              riskml.release="{c.id}" \\
              riskml.stage="{c.stage}" \\
              riskml.sha256="{c.sha256}"
        COPY --from=build /opt/riskml /opt/riskml
        RUN useradd --uid {USER} --user-group --no-create-home --shell /usr/sbin/nologin riskml \\
         && install -d -o {USER} -g {USER} -m 0700 {STATE}
        # Compiled code fits one kind of processor, so it is kept beside the log and not in the image.
        ENV PATH=/opt/riskml/venv/bin:$PATH XDG_CACHE_HOME={STATE}/cache PYTHONDONTWRITEBYTECODE=1
        WORKDIR /opt/riskml
        USER {USER}:{USER}
        VOLUME {STATE}
        EXPOSE {PORT}
        STOPSIGNAL SIGTERM
        HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD \\
          ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:{PORT}/health', timeout=2)"]
        # Callers show a token: mount one at {TOKEN}/token, as kubernetes.yaml does.
        ENTRYPOINT ["riskml", "serve", "{c.file}"{told}, "--log", "{STATE}/log", "--token-file", "{TOKEN}/token"]
        CMD ["--host", "0.0.0.0", "--port", "{PORT}"]
        """)


def _manifest(container: Container) -> str:
    """A stateful set of one (one process writes the log), its service and the rule of who may speak to it."""
    name = _slug(container.name)
    return (
        _HEAD.format(name=name, id=container.id, stage=container.stage)
        + _SET.format(
            name=name,
            id=container.id,
            stage=container.stage,
            tag=_tag(container.version),
            user=USER,
            port=PORT,
            state=STATE,
            token=TOKEN,
        )
        + _SERVICE.format(name=name, port=PORT)
    )


def _pem(public: bytes) -> str:
    """A public key as `--trust` reads it."""
    body = base64.b64encode(_ED25519 + public).decode("ascii")
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


def _slug(name: str) -> str:
    """A name as Kubernetes and registries take it: it begins with a letter."""
    made = _LABEL.sub("-", name.lower()).strip("-")[:45].rstrip("-")
    return made if made[:1].isalpha() else f"riskml-{made}".rstrip("-")


def _tag(version: str) -> str:
    """A version as an image's tag."""
    return re.sub("[^A-Za-z0-9_.-]", "-", version).lstrip(".-")


_HEAD = """\
# {id}, stage {stage}.
# The token is not here. Make it once, with 32 random bytes:
#   kubectl create secret generic {name}-token --from-literal=token="$(openssl rand -hex 32)"
# One pod writes one log. For several pods give each of them --store with a shared Valkey.
"""

_SET = """\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: "{name}"
  labels: {{app.kubernetes.io/name: "{name}"}}
spec:
  serviceName: "{name}"
  replicas: 1
  selector:
    matchLabels: {{app.kubernetes.io/name: "{name}"}}
  template:
    metadata:
      labels: {{app.kubernetes.io/name: "{name}"}}
      annotations:
        riskml/release: "{id}"
        riskml/stage: {stage}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 30
      securityContext:
        runAsNonRoot: true
        runAsUser: {user}
        runAsGroup: {user}
        fsGroup: {user}
        fsGroupChangePolicy: OnRootMismatch
        seccompProfile: {{type: RuntimeDefault}}
      containers:
        - name: riskml
          image: "{name}:{tag}"
          ports:
            - {{name: http, containerPort: {port}}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: [ALL]}}
          resources:
            requests: {{cpu: 500m, memory: 512Mi}}
            limits: {{memory: 2Gi}}
          startupProbe:
            httpGet: {{path: /ready, port: http}}
            periodSeconds: 2
            failureThreshold: 150
          readinessProbe:
            httpGet: {{path: /ready, port: http}}
            periodSeconds: 5
          livenessProbe:
            httpGet: {{path: /health, port: http}}
            periodSeconds: 10
            failureThreshold: 3
          volumeMounts:
            - {{name: state, mountPath: {state}}}
            - {{name: token, mountPath: {token}, readOnly: true}}
            - {{name: tmp, mountPath: /tmp}}
      volumes:
        - name: token
          secret: {{secretName: "{name}-token", defaultMode: 0440}}
        - name: tmp
          emptyDir: {{medium: Memory, sizeLimit: 64Mi}}
  volumeClaimTemplates:
    - metadata:
        name: state
      spec:
        accessModes: [ReadWriteOnce]
        resources:
          requests: {{storage: 20Gi}}
---
"""

_SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: "{name}"
  labels: {{app.kubernetes.io/name: "{name}"}}
spec:
  selector: {{app.kubernetes.io/name: "{name}"}}
  ports:
    - {{name: http, port: {port}, targetPort: http}}
---
# Only pods that carry this label may ask.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: "{name}"
spec:
  podSelector:
    matchLabels: {{app.kubernetes.io/name: "{name}"}}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels: {{riskml/client: "{name}"}}
      ports:
        - {{port: http}}
"""
