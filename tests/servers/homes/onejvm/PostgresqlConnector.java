package onejvm;

import com.google.common.base.Supplier;
import com.google.inject.Inject;
import java.sql.DatabaseMetaData;
import java.sql.ResultSet;
import java.sql.SQLException;
import org.apache.commons.dbcp2.BasicDataSource;
import org.apache.druid.java.util.common.StringUtils;
import org.apache.druid.metadata.MetadataStorageConnectorConfig;
import org.apache.druid.metadata.MetadataStorageTablesConfig;
import org.apache.druid.metadata.SQLMetadataConnector;
import org.apache.druid.segment.metadata.CentralizedDatasourceSchemaConfig;
import org.skife.jdbi.v2.DBI;
import org.skife.jdbi.v2.Handle;

/**
 * PostgreSQL's dialect for Druid's SQLMetadataConnector, which makes the tables itself. Druid's own extension for
 * PostgreSQL is not on Maven Central for 33.0.0.
 */
public class PostgresqlConnector extends SQLMetadataConnector {
  private final DBI dbi;

  @Inject
  public PostgresqlConnector(
      Supplier<MetadataStorageConnectorConfig> config,
      Supplier<MetadataStorageTablesConfig> tables,
      CentralizedDatasourceSchemaConfig schemas) {
    super(config, tables, schemas);
    BasicDataSource source = getDatasource();
    source.setDriverClassLoader(PostgresqlConnector.class.getClassLoader());
    source.setDriverClassName("org.postgresql.Driver");
    this.dbi = new DBI(source);
  }

  @Override
  public String getPayloadType() {
    return "BYTEA";
  }

  @Override
  public String getSerialType() {
    return "BIGSERIAL";
  }

  @Override
  public String getQuoteString() {
    return "\\\"";
  }

  @Override
  public int getStreamingFetchSize() {
    return 100;
  }

  @Override
  public String limitClause(int limit) {
    return "LIMIT " + limit;
  }

  @Override
  public boolean tableExists(Handle handle, String table) {
    String query =
        "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = 'public' AND tablename ILIKE :table";
    return !handle.createQuery(query).bind("table", table).list().isEmpty();
  }

  /** PostgreSQL folds the names of Druid's tables to lower case, for they are never quoted. */
  @Override
  public ResultSet getIndexInfo(DatabaseMetaData data, String table) throws SQLException {
    return data.getIndexInfo(null, null, StringUtils.toLowerCase(table), false, false);
  }

  @Override
  public Void insertOrUpdate(String table, String keyColumn, String valueColumn, String key, byte[] value) {
    String statement =
        "INSERT INTO %1$s (%2$s, %3$s) VALUES (:key, :value) ON CONFLICT (%2$s) DO UPDATE SET %3$s = EXCLUDED.%3$s";
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

  /** Connection lost, resources short, serialization failed. */
  @Override
  protected boolean connectorIsTransientException(Throwable e) {
    String state = e instanceof SQLException ? ((SQLException) e).getSQLState() : null;
    return state != null
        && (state.startsWith("08") || state.startsWith("53") || state.equals("40001"));
  }

  /** Asked by releases from 34 on. */
  public boolean isUniqueConstraintViolation(Throwable thrown) {
    for (Throwable e = thrown; e != null; e = e.getCause()) {
      if (e instanceof SQLException && "23505".equals(((SQLException) e).getSQLState())) {
        return true;
      }
    }
    return false;
  }
}
