package onejvm;

import com.google.inject.Injector;
import com.google.inject.Key;
import com.google.inject.servlet.GuiceFilter;
import java.lang.reflect.Field;
import org.apache.druid.java.util.common.lifecycle.Lifecycle;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.servlet.FilterHolder;
import org.eclipse.jetty.servlet.ServletContextHandler;

/** Several roles in one JVM: what Druid 33 needs for it. */
final class OwnFilters {
  private OwnFilters() {}

  /**
   * Gives every filter of a role's server that role's pipeline. Jetty makes the filters itself, and such a filter
   * serves the injector of the JVM that came last, which it finds in a static field.
   */
  static Lifecycle given(Injector injector, Lifecycle lifecycle) {
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
}
