package onejvm;

import com.google.inject.Binder;
import com.google.inject.Key;
import org.apache.druid.guice.LazySingleton;
import org.apache.druid.guice.PolyBind;
import org.apache.druid.guice.SQLMetadataStorageDruidModule;
import org.apache.druid.initialization.DruidModule;
import org.apache.druid.metadata.MetadataStorageActionHandlerFactory;
import org.apache.druid.metadata.MetadataStorageConnector;
import org.apache.druid.metadata.MetadataStorageProvider;
import org.apache.druid.metadata.NoopMetadataStorageProvider;
import org.apache.druid.metadata.PostgreSQLMetadataStorageActionHandlerFactory;
import org.apache.druid.metadata.SQLMetadataConnector;

/** Makes {@code druid.metadata.storage.type=postgresql} known. */
public class PostgresqlModule extends SQLMetadataStorageDruidModule implements DruidModule {
  private static final String TYPE = "postgresql";

  public PostgresqlModule() {
    super(TYPE);
  }

  @Override
  public void configure(Binder binder) {
    super.configure(binder);
    PolyBind.optionBinder(binder, Key.get(MetadataStorageProvider.class))
        .addBinding(TYPE).to(NoopMetadataStorageProvider.class).in(LazySingleton.class);
    PolyBind.optionBinder(binder, Key.get(MetadataStorageConnector.class))
        .addBinding(TYPE).to(PostgresqlConnector.class).in(LazySingleton.class);
    PolyBind.optionBinder(binder, Key.get(SQLMetadataConnector.class))
        .addBinding(TYPE).to(PostgresqlConnector.class).in(LazySingleton.class);
    PolyBind.optionBinder(binder, Key.get(MetadataStorageActionHandlerFactory.class))
        .addBinding(TYPE).to(PostgreSQLMetadataStorageActionHandlerFactory.class).in(LazySingleton.class);
  }
}
