#!/usr/bin/env bash
# Apache Kafka 4.1.0, aiokafka 0.14.0: a transactional producer writes on into another topic of the same name, untold.
#
# A guess would be that exactly-once ends where its topic does. The topic was deleted and made again, so the producer's
# next sequence number follows nothing there, and the topic has another id. The broker takes the first number that it
# sees of a producer, and a Produce request that names the topic says nothing of its id: the transaction commits. Only
# the offsets tell: they begin again. Who appends changes to such a topic has left out what they change. Seen:
#   first topic: offsets 0 and 2
#   made again, same producer: committed, offset 0
#   what a consumer reads there: the third
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
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError

logging.disable()
servers, topic = sys.argv[1], "changes"


async def started(client):
    for _ in range(150):
        try:
            return await client.start()
        except KafkaConnectionError:
            await asyncio.sleep(0.2)


async def made(admin):
    while (await admin.create_topics([NewTopic(topic, 1, 1)])).topic_errors[0][1]:
        await asyncio.sleep(0.1)


async def main():
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await started(admin)
    await made(admin)
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id="one")
    await producer.start()

    async def sent(value):
        async with producer.transaction():
            return (await producer.send_and_wait(topic, value, partition=0)).offset

    print("first topic: offsets", await sent(b"the first"), "and", await sent(b"the second"))
    await admin.delete_topics([topic])
    await made(admin)
    await asyncio.sleep(1)
    print("made again, same producer: committed, offset", await sent(b"the third"))
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed", auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    print("what a consumer reads there:", (await consumer.getone()).value.decode())
    for client in (consumer, producer):
        await client.stop()
    await admin.close()


asyncio.run(main())
PY
"$folder/venv/bin/python" "$folder/seen.py" "localhost:$port" > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
first topic: offsets 0 and 2
made again, same producer: committed, offset 0
what a consumer reads there: the third
WANT
