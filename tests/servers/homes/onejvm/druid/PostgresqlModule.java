package onejvm;

import org.apache.druid.metadata.PostgreSQLMetadataStorageActionHandlerFactory;

/** Makes {@code druid.metadata.storage.type=postgresql} known. */
public class PostgresqlModule extends MetadataModule {
  public PostgresqlModule() {
    super("postgresql", PostgresqlConnector.class, PostgreSQLMetadataStorageActionHandlerFactory.class);
  }
}
