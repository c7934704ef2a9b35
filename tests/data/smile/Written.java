// Writes and reads what the tests of replicator/model/smile.py hold against it, with Jackson 2.12 as
// Druid 33 has it and its mapper's settings (JacksonModule): `java -cp <jackson's jars> Written.java
// write <folder>`, `… read <file>` prints JSON.
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.smile.*;
import java.nio.file.*;
import java.util.*;
public class Written {
  static ObjectMapper druid() {
    SmileFactory f = new SmileFactory();
    f.configure(SmileGenerator.Feature.ENCODE_BINARY_AS_7BIT, false);
    f.delegateToTextual(true);
    ObjectMapper m = new ObjectMapper(f);
    m.getFactory().setCodec(m);
    return m;
  }
  static ObjectMapper other() {
    SmileFactory f = new SmileFactory();
    f.configure(SmileGenerator.Feature.ENCODE_BINARY_AS_7BIT, true);
    f.configure(SmileGenerator.Feature.CHECK_SHARED_STRING_VALUES, true);
    return new ObjectMapper(f);
  }
  static byte[] bytes(int n, int seed) { byte[] b = new byte[n]; new Random(seed).nextBytes(b); return b; }
  static Map<String,Object> users(int n) {
    Map<String,Object> m = new LinkedHashMap<>();
    for (int i = 0; i < n; i++) {
      String name = i % 7 == 0 ? "jörg-" + i : "user" + i;
      Map<String,Object> c = new LinkedHashMap<>();
      c.put("salt", bytes(32, i)); c.put("hash", bytes(64, i + 1)); c.put("iterations", 10000);
      Map<String,Object> u = new LinkedHashMap<>();
      u.put("name", name); u.put("credentials", i % 5 == 4 ? null : c);
      m.put(name, u);
    }
    return m;
  }
  static Map<String,Object> many(int n) {
    Map<String,Object> m = new LinkedHashMap<>();
    for (int i = 0; i < n; i++) m.put("user" + i, Map.of("name", "user" + i, "n" + i, i));
    return m;
  }
  static Map<String,Object> again() {
    Map<String,Object> names = new LinkedHashMap<>();
    List<Object> texts = new ArrayList<>();
    for (int i = 0; i < 900; i++) { names.put("name" + i, i); texts.add("text" + i); }
    return Map.of("again", List.of(names, names, texts, texts, names, texts));
  }
  static Map<String,Object> roles() {
    Map<String,Object> m = new LinkedHashMap<>();
    for (String r : List.of("admin", "druid_system", "readers")) {
      List<Object> ps = new ArrayList<>();
      for (String t : List.of("DATASOURCE", "CONFIG", "STATE", "SYSTEM_TABLE")) {
        ps.add(Map.of("resourceAction", Map.of("resource", new TreeMap<>(Map.of("name", r.equals("readers") ? "wiki_.*" : ".*", "type", t)), "action", "READ"), "resourceNamePattern", ".*"));
      }
      m.put(r, new TreeMap<>(Map.of("name", r, "permissions", ps)));
    }
    return m;
  }
  static Map<String,Object> odd() {
    Map<String,Object> m = new LinkedHashMap<>();
    m.put("", ""); m.put("n".repeat(64), "v".repeat(64)); m.put("N".repeat(65), "v".repeat(65)); m.put("ü".repeat(28), "ü".repeat(32)); m.put("Ü".repeat(29), "ü".repeat(33));
    m.put("ints", List.of(0, -1, 15, 16, -16, -17, 63, 64, 8191, -8192, 2147483647, -2147483648, 9223372036854775807L, -9223372036854775808L));
    m.put("flags", Arrays.asList(true, false, null)); m.put("nested", Map.of("a", List.of(Map.of(), List.of())));
    m.put("bytes", List.of(bytes(0, 1), bytes(1, 2), bytes(6, 3), bytes(7, 4), bytes(8, 5), bytes(200, 6)));
    m.put("same", List.of("again", "again", "again")); m.put("emoji", "🐉");
    return m;
  }
  public static void main(String[] a) throws Exception {
    if (a[0].equals("read")) { System.out.print(new ObjectMapper().writeValueAsString(druid().readValue(Files.readAllBytes(Path.of(a[1])), Object.class))); return; }
    Path to = Path.of(a[1]);
    Map<String,Object> all = new LinkedHashMap<>();
    all.put("users", users(3)); all.put("many", many(1500)); all.put("again", again()); all.put("roles", roles()); all.put("odd", odd());
    for (var e : all.entrySet()) {
      Files.write(to.resolve(e.getKey() + ".smile"), druid().writeValueAsBytes(e.getValue()));
      Files.write(to.resolve(e.getKey() + "-7bit.smile"), other().writeValueAsBytes(e.getValue()));
      Files.write(to.resolve(e.getKey() + ".json"), new ObjectMapper().writeValueAsBytes(e.getValue()));
    }
  }
}
