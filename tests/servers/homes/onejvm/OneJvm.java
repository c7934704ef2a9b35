package onejvm;

import com.google.inject.Injector;
import com.google.inject.Key;
import com.google.inject.servlet.GuiceFilter;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Field;
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
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.servlet.FilterHolder;
import org.eclipse.jetty.servlet.ServletContextHandler;

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
            return withOwnFilters(injector, super.initLifecycle(injector));
          }
        };
      case "broker":
        return new CliBroker() {
          @Override
          public Lifecycle initLifecycle(Injector injector) {
            return withOwnFilters(injector, super.initLifecycle(injector));
          }
        };
      case "historical":
        return new CliHistorical() {
          @Override
          public Lifecycle initLifecycle(Injector injector) {
            return withOwnFilters(injector, super.initLifecycle(injector));
          }
        };
      case "indexer":
        return new CliIndexer() {
          @Override
          public Lifecycle initLifecycle(Injector injector) {
            return withOwnFilters(injector, super.initLifecycle(injector));
          }
        };
      default:
        throw new IllegalArgumentException(role);
    }
  }

  /**
   * Gives every filter of a role's server that role's pipeline. Jetty makes the filters itself, and such a filter
   * serves the injector of the JVM that came last, which it finds in a static field.
   */
  private static Lifecycle withOwnFilters(Injector injector, Lifecycle lifecycle) {
    try {
      Field pipeline = GuiceFilter.class.getDeclaredField("injectedPipeline");
      pipeline.setAccessible(true);
      Object own = pipeline.get(injector.getInstance(GuiceFilter.class));
      Server server = (Server) injector.getInstance(keyOfServer(injector));
      for (Handler handler : server.getChildHandlersByClass(ServletContextHandler.class)) {
        for (FilterHolder holder : ((ServletContextHandler) handler).getServletHandler().getFilters()) {
          if (holder.getFilter() instanceof GuiceFilter) {
            pipeline.set(holder.getFilter(), own);
          }
        }
      }
      return lifecycle;
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The indexer's server is bound under an annotation, those of the other roles are not. */
  private static Key<?> keyOfServer(Injector injector) {
    for (Key<?> key : injector.getBindings().keySet()) {
      if (key.getTypeLiteral().getRawType() == Server.class && key.getAnnotationType() != null) {
        return key;
      }
    }
    return Key.get(Server.class);
  }

  private static void load(Properties properties, Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      properties.load(in);
    }
  }
}
