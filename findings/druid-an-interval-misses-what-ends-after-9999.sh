#!/usr/bin/env bash
# Apache Druid 33.0.0: a query by an interval does not find a used segment that covers it and ends after the year 9999.
#
# Druid's metadata holds starts and ends as text. It compares them in SQL where all asked intervals have years of four
# digits, and reads every row where one has not; only eternity is asked for by name beside that. A guess would be that
# such a comparison is used where it is right for the rows as well. "12000-01-01" sorts before "2025-01-01", so that the
# segment is left out, and asking for a second, later interval as well finds it. Druid's own query, in Derby. Seen:
#   all: 2024/12000, 2024/2030
#   2025/2026: 2024/2030
#   2025/2026 and 15000/15001: 2024/12000, 2024/2030
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/pom.xml" <<'XML'
<project><modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>a</artifactId><version>1</version>
<dependencyManagement><dependencies><dependency><groupId>org.apache.druid</groupId><artifactId>druid</artifactId>
<version>33.0.0</version><type>pom</type><scope>import</scope></dependency></dependencies></dependencyManagement>
<dependencies><dependency><groupId>org.apache.druid</groupId><artifactId>druid-server</artifactId>
<version>33.0.0</version><exclusions><exclusion><groupId>org.hyperic</groupId><artifactId>sigar</artifactId></exclusion>
</exclusions></dependency></dependencies></project>
XML
mvn -q -B -f "$folder/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
  -DincludeScope=runtime -DoutputDirectory="$folder/lib"
cat > "$folder/Seen.java" <<'JAVA'
import com.fasterxml.jackson.databind.InjectableValues;
import com.google.common.base.Suppliers;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import org.apache.druid.jackson.DefaultObjectMapper;
import org.apache.druid.java.util.common.Intervals;
import org.apache.druid.metadata.MetadataStorageConnectorConfig;
import org.apache.druid.metadata.MetadataStorageTablesConfig;
import org.apache.druid.metadata.NoopMetadataStorageProvider;
import org.apache.druid.metadata.SqlSegmentsMetadataQuery;
import org.apache.druid.metadata.storage.derby.DerbyConnector;
import org.apache.druid.segment.metadata.CentralizedDatasourceSchemaConfig;
import org.apache.druid.timeline.DataSegment;
import org.apache.druid.timeline.DataSegment.PruneSpecsHolder;
import org.apache.druid.timeline.partition.NumberedShardSpec;
import org.joda.time.Interval;
import org.skife.jdbi.v2.DBI;

class Seen {
  static final DBI DERBY = new DBI("jdbc:derby:memory:druid;create=true");
  static final MetadataStorageTablesConfig TABLES = MetadataStorageTablesConfig.fromBase("druid");
  static final DerbyConnector CONNECTOR = new DerbyConnector(new NoopMetadataStorageProvider().get(),
      Suppliers.ofInstance(new MetadataStorageConnectorConfig()), Suppliers.ofInstance(TABLES), DERBY,
      CentralizedDatasourceSchemaConfig.create());
  static final DefaultObjectMapper JSON = new DefaultObjectMapper();

  static void publish(int from, int to) throws Exception {
    DataSegment segment = DataSegment.builder().dataSource("orders").interval(years(from, to))
        .version("2026-01-01T00:00:00.000Z").shardSpec(new NumberedShardSpec(0, 1)).size(1).build();
    byte[] payload = JSON.writeValueAsString(segment).getBytes(StandardCharsets.UTF_8);
    DERBY.withHandle(handle -> handle.createStatement("INSERT INTO druid_segments (id, dataSource, created_date, start,"
            + " \"end\", partitioned, version, used, payload, used_status_last_updated)"
            + " VALUES (:id, 'orders', :now, :start, :end, true, :version, true, :payload, :now)")
        .bind("id", segment.getId().toString()).bind("now", "2026-01-01T00:00:00.000Z")
        .bind("start", segment.getInterval().getStart().toString())
        .bind("end", segment.getInterval().getEnd().toString())
        .bind("version", segment.getVersion()).bind("payload", payload).execute());
  }

  static Interval years(int from, int to) {
    return Intervals.of(from + "-01-01/" + to + "-01-01");
  }

  static void found(String what, Interval... asked) {
    TreeSet<String> seen = new TreeSet<>();
    DERBY.withHandle(handle -> {
      try (var rows = SqlSegmentsMetadataQuery.forHandle(handle, CONNECTOR, TABLES, JSON)
          .retrieveUsedSegments("orders", new ArrayList<>(List.of(asked)))) {
        rows.forEachRemaining(row -> seen.add(
            row.getInterval().getStart().getYear() + "/" + row.getInterval().getEnd().getYear()));
      }
      return null;
    });
    System.out.println("seen " + what + ": " + String.join(", ", seen));
  }

  public static void main(String[] arguments) throws Exception {
    JSON.setInjectableValues(new InjectableValues.Std().addValue(PruneSpecsHolder.class, PruneSpecsHolder.DEFAULT));
    CONNECTOR.createSegmentTable("druid_segments");
    publish(2024, 2030);
    publish(2024, 12000);
    found("all");
    found("2025/2026", years(2025, 2026));
    found("2025/2026 and 15000/15001", years(2025, 2026), years(15000, 15001));
    System.exit(0);
  }
}
JAVA
(cd "$folder" && java -cp "lib/*" Seen.java) > "$folder/log" 2>&1 || { tail -20 "$folder/log"; exit 1; }
sed -n 's/^seen //p' "$folder/log" > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
all: 2024/12000, 2024/2030
2025/2026: 2024/2030
2025/2026 and 15000/15001: 2024/12000, 2024/2030
WANT
