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
import org.apache.druid.metadata.SQLMetadataConnector;

/** Makes one {@code druid.metadata.storage.type} known. */
abstract class MetadataModule extends SQLMetadataStorageDruidModule implements DruidModule {
  private final String type;
  private final Class<? extends SQLMetadataConnector> connector;
  private final Class<? extends MetadataStorageActionHandlerFactory> handlers;

  MetadataModule(
      String type,
      Class<? extends SQLMetadataConnector> connector,
      Class<? extends MetadataStorageActionHandlerFactory> handlers) {
    super(type);
    this.type = type;
    this.connector = connector;
    this.handlers = handlers;
  }

  @Override
  public void configure(Binder binder) {
    super.configure(binder);
    PolyBind.optionBinder(binder, Key.get(MetadataStorageProvider.class))
        .addBinding(type).to(NoopMetadataStorageProvider.class).in(LazySingleton.class);
    PolyBind.optionBinder(binder, Key.get(MetadataStorageConnector.class))
        .addBinding(type).to(connector).in(LazySingleton.class);
    PolyBind.optionBinder(binder, Key.get(SQLMetadataConnector.class))
        .addBinding(type).to(connector).in(LazySingleton.class);
    PolyBind.optionBinder(binder, Key.get(MetadataStorageActionHandlerFactory.class))
        .addBinding(type).to(handlers).in(LazySingleton.class);
  }
}
