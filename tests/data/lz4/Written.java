import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.druid.utils.CompressionUtils;

/**
 * Wrote `index.lz4` beside it with the classes of Druid 37.0.0: {@code java -cp 'lib/*' Written.java index.lz4}. The
 * files' contents are those of tests/unit/services/target/test_lz4_container.py.
 */
public final class Written {
  public static void main(String[] args) throws Exception {
    Path folder = Files.createTempDirectory("segment");
    Files.write(folder.resolve("version.bin"), new byte[] {0, 0, 0, 9});
    Files.write(folder.resolve("meta.smoosh"), "v1,2147483647,1\n".getBytes(StandardCharsets.UTF_8));
    Files.write(folder.resolve("empty"), new byte[0]);
    byte[] columns = new byte[150_000];
    long state = 1;
    for (int i = 0; i < columns.length; i++) {
      state = (state * 1103515245L + 12345L) % 2147483648L;
      columns[i] = (byte) (i < 130_000 ? i / 97 : state >> 16);
    }
    Files.write(folder.resolve("00000.smoosh"), columns);
    try (OutputStream out = new FileOutputStream(args[0])) {
      System.out.println(CompressionUtils.lz4CompressDirectory(folder.toFile(), out));
    }
  }
}
