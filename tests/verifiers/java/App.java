// A service behind the proxy: it says who is calling, to those who bring a good assertion.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import org.jose4j.json.JsonUtil;
import org.jose4j.jwt.JwtClaims;
import org.jose4j.jwt.MalformedClaimException;
import org.jose4j.jwt.consumer.InvalidJwtException;

final class App {
    private static final Verifier VERIFIER = new Verifier(
        System.getenv("JWKS_URL"), System.getenv("AUDIENCE"), System.getenv("ISSUER"),
        Math.round(Double.parseDouble(System.getenv().getOrDefault("KEYSET_PAUSE", "30")) * 1000));

    public static void main(String[] arguments) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "0"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", App::handle);
        server.start();
        System.out.println("listening on http://127.0.0.1:" + server.getAddress().getPort());
    }

    private static void handle(HttpExchange exchange) throws IOException {
        try {
            JwtClaims claims = VERIFIER.verify(exchange.getRequestHeaders().getOrDefault(Verifier.HEADER, List.of()));
            answer(exchange, 200, Map.of("sub", claims.getSubject(), "email", claims.getStringClaimValue("email")));
        } catch (InvalidJwtException | MalformedClaimException error) {
            answer(exchange, 401, Map.of("error", error.getMessage()));
        }
    }

    private static void answer(HttpExchange exchange, int status, Map<String, ?> value) throws IOException {
        byte[] body = JsonUtil.toJson(value).getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
