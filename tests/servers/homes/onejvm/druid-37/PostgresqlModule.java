package onejvm;

import org.apache.druid.metadata.DerbyMetadataStorageActionHandlerFactory;

/**
 * Makes {@code druid.metadata.storage.type=postgresql} known. What Derby is asked for a few tasks, FETCH FIRST, is
 * standard SQL and PostgreSQL's too; Druid's own class is in its extension since release 34.
 */
public class PostgresqlModule extends MetadataModule {
  public PostgresqlModule() {
    super("postgresql", PostgresqlConnector.class, DerbyMetadataStorageActionHandlerFactory.class);
  }
}
