#!/usr/bin/env bash
# Apache Kafka 4.1.0, aiokafka 0.14.0: a look-up by time finds the marker of a transaction, which no consumer ever gets.
#
# A guess would be that ListOffsets by time names the first record stamped at or after it, and nothing where all
# records are older. A commit leaves a control record behind the data, stamped by the broker's clock and not by the
# producer's: it counts, also for read_committed. So a time after the newest record leads to an offset at which there
# is nothing, and with older stamps, as of replayed events, a time between two records to the first marker. Seen:
#   records: offset 0 stamped 1000, offset 2 stamped 3000
#   time 2000: offset 1, later than both: True
#   time 4000: offset 1, later than both: True
#   read from offset 1: offset 2
set -euo pipefail
folder=$(mktemp -d) broker=; trap 'kill $broker 2>/dev/null; wait; rm -rf "$folder"' EXIT
cat > "$folder/pom.xml" <<'XML'
<project><modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>a</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.1.0</version>
</dependency></dependencies></project>
XML
mvn -q -B -f "$folder/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
  -DincludeScope=runtime -DoutputDirectory="$folder/lib"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiokafka==0.14.0
read -r port controller < <(python3 -c 'import socket
two = [socket.socket(), socket.socket()]
for one in two: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in two))')
cat > "$folder/broker" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:$controller
listeners=PLAINTEXT://localhost:$port,CONTROLLER://localhost:$controller
controller.listener.names=CONTROLLER
log.dirs=$folder/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
CONF
java -cp "$folder/lib/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$folder/broker" >/dev/null 2>&1
java -Xmx256m -cp "$folder/lib/*" kafka.Kafka "$folder/broker" >"$folder/log" 2>&1 &
broker=$!
cat > "$folder/seen.py" <<'PY'
import asyncio
import logging
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError

logging.disable()
servers, partition = sys.argv[1], TopicPartition("changes", 0)


async def started(client):
    for _ in range(150):
        try:
            return await client.start()
        except KafkaConnectionError:
            await asyncio.sleep(0.2)


async def main():
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id="one")
    await started(producer)
    offsets = []
    for stamp in (1000, 3000):
        async with producer.transaction():
            sent = await producer.send_and_wait("changes", b"a", partition=0, timestamp_ms=stamp)
            offsets.append(f"offset {sent.offset} stamped {stamp}")
    print("records:", ", ".join(offsets))
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed")
    await started(consumer)
    consumer.assign([partition])
    for stamp in (2000, 4000):
        found = (await consumer.offsets_for_times({partition: stamp}))[partition]
        print(f"time {stamp}:", found and f"offset {found.offset}, later than both: {found.timestamp > 3000}")
    consumer.seek(partition, 1)
    print("read from offset 1: offset", (await consumer.getone()).offset)
    await consumer.stop()
    await producer.stop()


asyncio.run(main())
PY
"$folder/venv/bin/python" "$folder/seen.py" "localhost:$port" > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
records: offset 0 stamped 1000, offset 2 stamped 3000
time 2000: offset 1, later than both: True
time 4000: offset 1, later than both: True
read from offset 1: offset 2
WANT
