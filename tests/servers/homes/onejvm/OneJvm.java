package onejvm;

import com.google.inject.Injector;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.druid.cli.CliBroker;
import org.apache.druid.cli.CliCoordinator;
import org.apache.druid.cli.CliHistorical;
import org.apache.druid.cli.CliIndexer;
import org.apache.druid.cli.ServerRunnable;
import org.apache.druid.guice.StartupInjectorBuilder;
import org.apache.druid.java.util.common.lifecycle.Lifecycle;
import org.apache.zookeeper.server.NIOServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;

/**
 * Runs all of Druid's roles and their ZooKeeper in one JVM: {@code OneJvm CONF_DIR ZOOKEEPER_PORT ROLE...}
 *
 * <p>{@code CONF_DIR/common.properties} holds for all roles, {@code CONF_DIR/ROLE.properties} for one. Each role has
 * an injector of its own, as in Druid's embedded tests.
 */
public final class OneJvm {
  private OneJvm() {}

  public static void main(String[] args) throws Exception {
    Path conf = Path.of(args[0]);
    startZooKeeper(conf.resolveSibling("zookeeper"), Integer.parseInt(args[1]));
    List<Thread> roles = new ArrayList<>();
    for (int i = 2; i < args.length; i++) {
      String role = args[i];
      Thread thread = new Thread(() -> run(conf, role), "role-" + role);
      thread.start();
      roles.add(thread);
    }
    for (Thread thread : roles) {
      thread.join();
    }
  }

  private static void startZooKeeper(Path dir, int port) throws Exception {
    Files.createDirectories(dir);
    NIOServerCnxnFactory factory = new NIOServerCnxnFactory();
    factory.configure(new InetSocketAddress("127.0.0.1", port), 100);
    factory.startup(new ZooKeeperServer(dir.toFile(), dir.toFile(), 1000));
  }

  private static void run(Path conf, String role) {
    try {
      Properties properties = new Properties();
      properties.putAll(System.getProperties());
      load(properties, conf.resolve("common.properties"));
      load(properties, conf.resolve(role + ".properties"));
      Injector injector =
          new StartupInjectorBuilder().withProperties(properties).withExtensions().build();
      ServerRunnable server = server(role);
      injector.injectMembers(server);
      server.run();
    } catch (Throwable e) {
      e.printStackTrace();
      System.exit(3);
    }
  }

  private static ServerRunnable server(String role) {
    switch (role) {
      case "coordinator":
        return new CliCoordinator() {
          @Override
          public Lifecycle initLifecycle(Injector injector) {
            return OwnFilters.given(injector, super.initLifecycle(injector));
          }
        };
      case "broker":
        return new CliBroker() {
          @Override
          public Lifecycle initLifecycle(Injector injector) {
            return OwnFilters.given(injector, super.initLifecycle(injector));
          }
        };
      case "historical":
        return new CliHistorical() {
          @Override
          public Lifecycle initLifecycle(Injector injector) {
            return OwnFilters.given(injector, super.initLifecycle(injector));
          }
        };
      case "indexer":
        return new CliIndexer() {
          @Override
          public Lifecycle initLifecycle(Injector injector) {
            return OwnFilters.given(injector, super.initLifecycle(injector));
          }
        };
      default:
        throw new IllegalArgumentException(role);
    }
  }

  private static void load(Properties properties, Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      properties.load(in);
    }
  }
}
