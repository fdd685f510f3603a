// A service behind the proxy: it says who is calling, to those who bring a good assertion.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;

final class App {
    private static Verifier verifier;

    public static void main(String[] arguments) throws Exception {
        verifier = new Verifier(
            System.getenv("JWKS_URL"), System.getenv("AUDIENCE"), System.getenv("ISSUER"),
            milliseconds("KEYSET_MAX_AGE", "300"), milliseconds("KEYSET_PAUSE", "30"));
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "0"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", App::handle);
        server.start();
        System.out.println("listening on http://127.0.0.1:" + server.getAddress().getPort());
    }

    private static long milliseconds(String name, String fallback) {
        return Math.round(Double.parseDouble(System.getenv().getOrDefault(name, fallback)) * 1000);
    }

    private static void handle(HttpExchange exchange) throws IOException {
        try {
            Map<String, Object> claims =
                verifier.verify(exchange.getRequestHeaders().getOrDefault(Verifier.HEADER, List.of()));
            answer(exchange, 200, "{\"sub\":%s,\"email\":%s}".formatted(
                quoted(claims.get("sub")), quoted(claims.get("email"))));
        } catch (Exception error) {
            answer(exchange, 401, "{\"error\":" + quoted(error.getMessage()) + "}");
        }
    }

    private static String quoted(Object value) {
        return '"' + String.valueOf(value).replaceAll("[\"\\\\\\p{Cntrl}]", "?") + '"';
    }

    private static void answer(HttpExchange exchange, int status, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
