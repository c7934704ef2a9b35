package org.apache.druid.msq.guice;

import com.google.inject.Binder;
import org.apache.druid.initialization.DruidModule;

/** Stands where the multi-stage query engine would: it is not on Maven Central, and the roles name it. */
public final class MSQDurableStorageModule implements DruidModule {
  @Override
  public void configure(Binder binder) {}
}
