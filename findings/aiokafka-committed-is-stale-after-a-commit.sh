#!/usr/bin/env bash
# aiokafka 0.14.0 on Apache Kafka 4.1.0: committed() right after commit_transaction() may still say the former offset.
#
# A guess would be that who awaited the commit of a transaction reads the offsets that were sent with it: Kafka has
# "require stable" offsets for that (KIP-447). aiokafka's newest OffsetFetch is version 3, which cannot ask for them, so
# that the broker answers what was committed before, until the transaction's marker has reached the group's partition.
# A program that takes its place from the group again would carry the same records twice. Seen, in 200 transactions:
#   awaited commits: 200, stale reads: some, stale after a second: 0
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
servers, partition, group = sys.argv[1], TopicPartition("events", 0), "standby"


async def started(client):
    for _ in range(150):
        try:
            return await client.start()
        except KafkaConnectionError:
            await asyncio.sleep(0.2)


async def main():
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id="one")
    await started(producer)
    async with producer.transaction():
        await producer.send_and_wait("events", b"first", partition=0)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False)
    await started(consumer)
    consumer.assign([partition])
    stale = later = 0
    for offset in range(1, 201):
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({partition: offset}, group)
        await producer.commit_transaction()
        if await consumer.committed(partition) != offset:
            stale += 1
    await asyncio.sleep(1)
    later += await consumer.committed(partition) != 200
    print(f"awaited commits: 200, stale reads: {'some' if stale else 'none'}, stale after a second: {later}")
    print(f"({stale} of 200)", file=sys.stderr)
    await consumer.stop()
    await producer.stop()


asyncio.run(main())
PY
"$folder/venv/bin/python" "$folder/seen.py" "localhost:$port" > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
awaited commits: 200, stale reads: some, stale after a second: 0
WANT
