"""A real Apache Kafka: one broker that is its own controller, or three that hold a quorum."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers import fetching
from tests.servers.server import CHEAP_START, Jvm, free_ports

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
USER, PASSWORD = "replicator", "let me in"
LIMITED = ("watching", "applying")
"""They have the same password, and may do what an ACL says; who says nothing may do all."""
STORE_PASSWORD = "changeit"
LOG4J = """\
status=error
rootLogger.level=INFO
rootLogger.appenderRef.c.ref=C
appender.c.type=Console
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d] %p %m (%c)%n
"""


@dataclass(frozen=True)
class Security:
    """How clients reach a broker."""

    protocol: str

    @property
    def has_tls(self) -> bool:
        return self.protocol.endswith("SSL")

    @property
    def has_sasl(self) -> bool:
        return self.protocol.startswith("SASL_")


SECURED = tuple(Security(protocol) for protocol in ("SSL", "SASL_SSL", "SASL_PLAINTEXT"))


class Kafka:
    """One broker; `kill` and `start` again keep its data and ports."""

    def __init__(
        self,
        folder: Path,
        *,
        secured: Sequence[Security] = (),
        node_id: int = 1,
        ports: Sequence[int] = (),
        voters: str | None = None,
        replicas: int = 1,
    ) -> None:
        """Take the ways to be reached that are `secured`, beside the plain one."""
        self.folder = folder
        self.port, controller, *others = ports or free_ports(2 + len(secured))
        self.bootstrap = f"localhost:{self.port}"
        self.ports = dict(zip(secured, others, strict=True))
        self._home = fetching.home("kafka")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log4j2.properties").write_text(LOG4J)
        if secured:
            _make_certificates(folder)
        self._file.write_text(self._properties(node_id, controller, voters, replicas))
        self._format(node_id)
        self._jvm = Jvm(
            fetching.class_path(self._home),
            self._home,
            ("-Xms64m", "-Xmx256m", *self._options, "kafka.Kafka", str(self._file)),
            folder / "kafka.log",
        )

    @property
    def ca_file(self) -> Path:
        """Who signed the broker's certificate."""
        return self.folder / "broker.pem"

    def bootstrap_by(self, security: Security) -> str:
        return f"localhost:{self.ports[security]}"

    def start(self) -> None:
        self.launch()
        self.wait()

    def launch(self) -> None:
        (self.folder / "kafka.log").write_text("")
        self._jvm.launch()

    def wait(self, *, within_s: float = 180.0) -> None:
        log = self.folder / "kafka.log"
        self._jvm.wait(lambda: "Kafka Server started" in log.read_text(), within_s=within_s)

    def stop(self) -> None:
        self._jvm.stop()

    def kill(self) -> None:
        self._jvm.kill()

    def _properties(self, node_id: int, controller: int, voters: str | None, replicas: int) -> str:
        in_sync = max(1, replicas - 1)
        listeners = {"PLAINTEXT": self.port}
        listeners |= {security.protocol: port for security, port in self.ports.items()}
        lines = {
            "process.roles": "broker,controller",
            "node.id": node_id,
            "controller.quorum.voters": voters or f"{node_id}@127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(
                f"{name}://127.0.0.1:{port}"
                for name, port in {**listeners, "CONTROLLER": controller}.items()
            ),
            "advertised.listeners": ",".join(
                f"{name}://localhost:{port}" for name, port in listeners.items()
            ),
            "listener.security.protocol.map": ",".join(
                ["CONTROLLER:PLAINTEXT", *(f"{name}:{name}" for name in listeners)]
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": 4,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 200,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            "group.initial.rebalance.delay.ms": 0,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "log.cleaner.dedupe.buffer.size": 16 << 20,
            "metadata.max.idle.interval.ms": 10_000,  # twice a second it is half of what rest costs
        }
        if self.ports:
            lines |= {
                "ssl.keystore.location": self.folder / "broker.p12",
                "ssl.keystore.password": STORE_PASSWORD,
                "ssl.keystore.type": "PKCS12",
                "ssl.truststore.location": self.folder / "broker.pem",
                "ssl.truststore.type": "PEM",
            }
            lines |= {
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": f"User:ANONYMOUS;User:{USER}",
            }
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        for security in self.ports:
            if security.has_sasl:
                listener = f"listener.name.{security.protocol.lower()}"
                lines[f"{listener}.sasl.enabled.mechanisms"] = "SCRAM-SHA-512"
                lines[f"{listener}.scram-sha-512.sasl.jaas.config"] = login
        return "".join(f"{name}={value}\n" for name, value in lines.items())

    def _format(self, node_id: int) -> None:
        """Make its data folder, the first time with Kafka's own tool, which is a JVM."""
        data = self.folder / "data"
        if (data / "meta.properties").exists():
            return
        kind = "-".join(("sasl", *LIMITED)) if self.ports else "open"
        formatted = self._home / f"formatted-{node_id}-{kind}"
        if not formatted.exists():
            self._format_by_tool()
            new = Path(tempfile.mkdtemp(dir=self._home))
            shutil.copytree(data, new / "data")
            try:
                (new / "data").rename(formatted)
            except OSError:
                if not formatted.exists():  # no other broker was quicker
                    raise
            finally:
                shutil.rmtree(new)
        else:
            shutil.copytree(formatted, data)

    def _format_by_tool(self) -> None:
        scram = [
            word
            for user in (USER, *LIMITED)
            for word in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={PASSWORD}]")
        ]
        subprocess.run(
            ["java", "-Xmx128m", *CHEAP_START, "-cp", fetching.class_path(self._home),
             *self._options, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID,
             "-c", str(self._file), *(scram if self.ports else [])],
            check=True, capture_output=True,
        )  # fmt: skip

    @property
    def _file(self) -> Path:
        """Its configuration."""
        return self.folder / "server.properties"

    @property
    def _options(self) -> tuple[str, ...]:
        return (
            f"-Djava.io.tmpdir={self.folder}",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
        )


class KafkaCluster:
    """Three brokers, each topic on all of them, two of them enough to write."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(6)
        pairs = [ports[at : at + 2] for at in range(0, 6, 2)]
        voters = ",".join(f"{n}@127.0.0.1:{pair[1]}" for n, pair in enumerate(pairs, 1))
        self.brokers = [
            Kafka(folder / str(n), node_id=n, ports=pair, voters=voters, replicas=3)
            for n, pair in enumerate(pairs, 1)
        ]
        self.bootstrap = ",".join(broker.bootstrap for broker in self.brokers)

    def start(self) -> None:
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait()
        time.sleep(1)  # the controller learns of the last broker

    def stop(self) -> None:
        for broker in self.brokers:
            broker.kill()  # one after the other, the last would hang without a quorum


def _make_certificates(folder: Path) -> None:
    key, certificate = folder / "broker.key", folder / "broker.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(
        ["openssl", "pkcs12", "-export", "-in", str(certificate), "-inkey", str(key),
         "-out", str(folder / "broker.p12"), "-passout", f"pass:{STORE_PASSWORD}"],
        check=True, capture_output=True,
    )  # fmt: skip
