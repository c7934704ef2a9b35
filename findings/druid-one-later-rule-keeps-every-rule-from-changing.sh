#!/usr/bin/env bash
# Apache Druid 33.0.0: one datasource's rule of a later type keeps the rules of all datasources as they were.
#
# Druid 38 writes rules of the type loadPartialForever. A guess would be that an older Coordinator leaves out that rule,
# or that datasource. It reads all rows in one fold, logs an error, and keeps what the poll before had found: no later
# change of any datasource's rules takes effect, and the API that lists rules shows the old ones as if they were valid.
# This is Druid's own rule manager on its own table, in Derby in memory. Seen (replicas on the default tier):
#   at first: {orders=1}
#   orders changed to 2: {orders=2}
#   orders changed to 3, and a loadPartialForever of clicks: {orders=2}
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
import com.google.common.base.Suppliers;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import org.apache.druid.jackson.DefaultObjectMapper;
import org.apache.druid.metadata.MetadataRuleManagerConfig;
import org.apache.druid.metadata.MetadataStorageConnectorConfig;
import org.apache.druid.metadata.MetadataStorageTablesConfig;
import org.apache.druid.metadata.NoopMetadataStorageProvider;
import org.apache.druid.metadata.SQLMetadataRuleManager;
import org.apache.druid.metadata.storage.derby.DerbyConnector;
import org.apache.druid.segment.metadata.CentralizedDatasourceSchemaConfig;
import org.apache.druid.server.coordinator.rules.LoadRule;
import org.skife.jdbi.v2.DBI;

class Seen {
  static final DBI DERBY = new DBI("jdbc:derby:memory:druid;create=true");

  static void rule(String datasource, int version, String type, int replicas) {
    String payload = "[{\"type\":\"" + type + "\",\"tieredReplicants\":{\"_default_tier\":" + replicas + "}}]";
    DERBY.withHandle(handle -> handle
        .createStatement("INSERT INTO druid_rules (id, dataSource, version, payload) VALUES (:id, :name, :version, :bytes)")
        .bind("id", datasource + version).bind("name", datasource).bind("version", "2026-01-0" + version)
        .bind("bytes", payload.getBytes(StandardCharsets.UTF_8)).execute());
  }

  static void polled(String what, SQLMetadataRuleManager rules) {
    rules.poll();
    Map<String, Integer> seen = new TreeMap<>();
    rules.getAllRules().forEach((name, of) ->
        seen.put(name, ((LoadRule) of.get(0)).getTieredReplicants().get("_default_tier")));
    System.out.println("seen " + what + ": " + seen);
  }

  public static void main(String[] arguments) {
    MetadataStorageTablesConfig tables = MetadataStorageTablesConfig.fromBase("druid");
    DerbyConnector connector = new DerbyConnector(new NoopMetadataStorageProvider().get(),
        Suppliers.ofInstance(new MetadataStorageConnectorConfig()), Suppliers.ofInstance(tables), DERBY,
        CentralizedDatasourceSchemaConfig.create());
    connector.createRulesTable("druid_rules");
    SQLMetadataRuleManager rules = new SQLMetadataRuleManager(
        new DefaultObjectMapper(), new MetadataRuleManagerConfig(), tables, connector, null);
    rule("orders", 1, "loadForever", 1);
    polled("at first", rules);
    rule("orders", 2, "loadForever", 2);
    polled("orders changed to 2", rules);
    rule("orders", 3, "loadForever", 3);
    rule("clicks", 3, "loadPartialForever", 1);
    polled("orders changed to 3, and a loadPartialForever of clicks", rules);
    System.exit(0);
  }
}
JAVA
(cd "$folder" && java -cp "lib/*" Seen.java) > "$folder/log" 2>&1 || { tail -20 "$folder/log"; exit 1; }
sed -n 's/^seen //p' "$folder/log" > "$folder/out"
cat "$folder/out"
diff - "$folder/out" <<'WANT'
at first: {orders=1}
orders changed to 2: {orders=2}
orders changed to 3, and a loadPartialForever of clicks: {orders=2}
WANT
