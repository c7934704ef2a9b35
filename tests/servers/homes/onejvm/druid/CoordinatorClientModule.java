package onejvm;

import com.google.inject.Binder;
import com.google.inject.Provides;
import org.apache.druid.client.coordinator.Coordinator;
import org.apache.druid.discovery.NodeRole;
import org.apache.druid.guice.LazySingleton;
import org.apache.druid.guice.annotations.EscalatedGlobal;
import org.apache.druid.initialization.DruidModule;
import org.apache.druid.rpc.ServiceClient;
import org.apache.druid.rpc.ServiceClientFactory;
import org.apache.druid.rpc.ServiceLocator;
import org.apache.druid.rpc.StandardRetryPolicy;

/** Gives the basic security of 37 the client that it asks Druid for, which 33 keeps to itself. */
public class CoordinatorClientModule implements DruidModule {
  @Override
  public void configure(Binder binder) {}

  @Provides
  @LazySingleton
  @Coordinator
  public ServiceClient client(@EscalatedGlobal ServiceClientFactory factory, @Coordinator ServiceLocator locator) {
    return factory.makeClient(
        NodeRole.COORDINATOR.getJsonName(), locator, StandardRetryPolicy.builder().maxAttempts(6).build());
  }
}
