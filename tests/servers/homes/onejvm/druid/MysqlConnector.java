package onejvm;

import com.google.common.base.Supplier;
import com.google.inject.Inject;
import java.sql.SQLException;
import java.sql.SQLTransientException;
import java.util.List;
import org.apache.commons.dbcp2.BasicDataSource;
import org.apache.druid.java.util.common.StringUtils;
import org.apache.druid.metadata.MetadataStorageConnectorConfig;
import org.apache.druid.metadata.MetadataStorageTablesConfig;
import org.apache.druid.metadata.SQLMetadataConnector;
import org.apache.druid.segment.metadata.CentralizedDatasourceSchemaConfig;
import org.skife.jdbi.v2.DBI;
import org.skife.jdbi.v2.Handle;

/**
 * The dialect of MySQL and MariaDB for Druid's SQLMetadataConnector, which makes the tables itself. Druid's own
 * extension on Maven Central is that of 29.0.0, which does not fit 33.0.0; its answers are the same as these.
 */
public class MysqlConnector extends SQLMetadataConnector {
  private final DBI dbi;

  @Inject
  public MysqlConnector(
      Supplier<MetadataStorageConnectorConfig> config,
      Supplier<MetadataStorageTablesConfig> tables,
      CentralizedDatasourceSchemaConfig schemas) {
    super(config, tables, schemas);
    BasicDataSource source = getDatasource();
    source.setDriverClassLoader(MysqlConnector.class.getClassLoader());
    source.setDriverClassName("org.mariadb.jdbc.Driver");
    source.setConnectionInitSqls(List.of("SET sql_mode='ANSI_QUOTES'"));
    this.dbi = new DBI(source);
  }

  @Override
  public String getPayloadType() {
    return "LONGBLOB";
  }

  @Override
  public String getSerialType() {
    return "BIGINT(20) AUTO_INCREMENT";
  }

  @Override
  public String getCollation() {
    return "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
  }

  @Override
  public String getQuoteString() {
    return "`";
  }

  /** MySQL's word for row by row. */
  @Override
  public int getStreamingFetchSize() {
    return Integer.MIN_VALUE;
  }

  @Override
  public String limitClause(int limit) {
    return "LIMIT " + limit;
  }

  @Override
  public boolean tableExists(Handle handle, String table) {
    return !handle.createQuery("SHOW TABLES LIKE :table").bind("table", table).list().isEmpty();
  }

  @Override
  public Void insertOrUpdate(String table, String keyColumn, String valueColumn, String key, byte[] value) {
    String statement =
        "INSERT INTO %1$s (%2$s, %3$s) VALUES (:key, :value) ON DUPLICATE KEY UPDATE %3$s = :value";
    return dbi.withHandle(
        handle -> {
          handle
              .createStatement(StringUtils.format(statement, table, keyColumn, valueColumn))
              .bind("key", key)
              .bind("value", value)
              .execute();
          return null;
        });
  }

  @Override
  public DBI getDBI() {
    return dbi;
  }

  /** Connection lost or refused, lock wait timed out, too many connections. */
  @Override
  protected boolean connectorIsTransientException(Throwable e) {
    if (e instanceof SQLTransientException) {
      return true;
    }
    int code = e instanceof SQLException ? ((SQLException) e).getErrorCode() : 0;
    return code == 1040 || code == 1205 || code == 1213 || code == 1317;
  }
}
