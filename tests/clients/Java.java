import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Loss and gradient with Java: as JSON, as binary tensors, and an error.
 *
 * <pre>java -cp '/usr/share/java/*' tests/clients/Java.java http://127.0.0.1:8080</pre>
 */
public class Java {
    private static final HttpClient HTTP =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private static final ObjectMapper JSON = new ObjectMapper();

    static byte[] post(String url, String type, byte[] body)
            throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url)).header("Content-Type", type)
                .POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
        HttpResponse<byte[]> response = HTTP.send(request, HttpResponse.BodyHandlers.ofByteArray());
        if (response.statusCode() != 200) {
            JsonNode problem = JSON.readTree(response.body());
            throw new IllegalArgumentException(problem.get("detail").asText());
        }
        return response.body();
    }

    /** Sends fields as JSON. */
    static JsonNode evaluate(String url, Map<String, ?> fields)
            throws IOException, InterruptedException {
        return JSON.readTree(post(url, "application/json", JSON.writeValueAsBytes(fields)));
    }

    /**
     * Sends and receives safetensors files: numbers are never converted to text. Returns the
     * numbers of each tensor, little-endian.
     */
    static Map<String, ByteBuffer> evaluateArrays(String url, Map<String, float[]> arrays)
            throws IOException, InterruptedException {
        Map<String, Object> header = new LinkedHashMap<>();
        ByteArrayOutputStream data = new ByteArrayOutputStream();
        for (Map.Entry<String, float[]> entry : arrays.entrySet()) {
            float[] array = entry.getValue();
            ByteBuffer bytes = ByteBuffer.allocate(array.length * Float.BYTES);
            bytes.order(ByteOrder.LITTLE_ENDIAN);
            bytes.asFloatBuffer().put(array);
            int begin = data.size();
            data.write(bytes.array());
            header.put(entry.getKey(), Map.of("dtype", "F32", "shape", List.of(array.length),
                    "data_offsets", List.of(begin, data.size())));
        }
        String text = JSON.writeValueAsString(header);
        text += " ".repeat((8 - text.length() % 8) % 8); // aligns the data
        ByteBuffer file = ByteBuffer.allocate(8 + text.length() + data.size());
        file.order(ByteOrder.LITTLE_ENDIAN);
        file.putLong(text.length()).put(text.getBytes()).put(data.toByteArray());
        byte[] answer = post(url, "application/vnd.safetensors", file.array());
        ByteBuffer response = ByteBuffer.wrap(answer).order(ByteOrder.LITTLE_ENDIAN);
        int begin = 8 + (int) response.getLong();
        Map<String, ByteBuffer> tensors = new LinkedHashMap<>();
        JSON.readTree(response.array(), 8, begin - 8).fields().forEachRemaining(tensor -> {
            JsonNode offsets = tensor.getValue().get("data_offsets");
            if (offsets != null) { // __metadata__ has none
                int from = offsets.get(0).asInt(), to = offsets.get(1).asInt();
                ByteBuffer numbers = response.slice(begin + from, to - from);
                tensors.put(tensor.getKey(), numbers.order(ByteOrder.LITTLE_ENDIAN));
            }
        });
        return tensors;
    }

    static void show(String name, double... values) {
        StringBuilder line = new StringBuilder(name);
        for (double value : values) {
            line.append(String.format(Locale.ROOT, " %.6f", value));
        }
        System.out.println(line);
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        String server = arguments[0];
        float[] input = {2.5f, 0, 2}, target = {3, -0.5f, 2};

        JsonNode response = evaluate(server + "/v1/losses/mse",
                Map.of("input", input, "target", target, "grad", true));
        show("loss", response.get("loss").asDouble());
        show("gradient", JSON.convertValue(response.get("grad").get("input"), double[].class));

        Map<String, ByteBuffer> tensors = evaluateArrays(
                server + "/v1/losses/mse?grad=true", Map.of("input", input, "target", target));
        show("binary loss", tensors.get("loss").getDouble());
        ByteBuffer gradient = tensors.get("grad_input");
        show("binary gradient", gradient.getFloat(), gradient.getFloat(), gradient.getFloat());

        try {
            evaluate(server + "/v1/losses/cross_entropy",
                    Map.of("input", new double[][] {{0.2, 0.8}}, "target", new int[] {2}));
        } catch (IllegalArgumentException error) {
            System.out.println("error: " + error.getMessage());
        }
    }
}
