package minihdfs;

import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/** One name node and one data node in this process; arguments: folder, RPC port, HTTP port. */
public final class MiniHdfs
{
  private MiniHdfs()
  {
  }

  public static void main(String[] args) throws Exception
  {
    Configuration settings = new Configuration();
    settings.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, args[0]);
    settings.setBoolean("dfs.webhdfs.enabled", true);
    settings.setBoolean("dfs.permissions.enabled", true);
    MiniDFSCluster cluster = new MiniDFSCluster.Builder(settings)
        .numDataNodes(1)
        .nameNodePort(Integer.parseInt(args[1]))
        .nameNodeHttpPort(Integer.parseInt(args[2]))
        .build();
    cluster.waitActive();
    System.out.println("READY " + cluster.getURI());
    Thread.sleep(Long.MAX_VALUE);
  }
}
