package onejvm;

import org.apache.druid.metadata.MySQLMetadataStorageActionHandlerFactory;

/** Makes {@code druid.metadata.storage.type=mysql} known. */
public class MysqlModule extends MetadataModule {
  public MysqlModule() {
    super("mysql", MysqlConnector.class, MySQLMetadataStorageActionHandlerFactory.class);
  }
}
