// A service behind the proxy: it says who is calling, to those who bring a good assertion.
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.web.server.servlet.context.ServletWebServerInitializedEvent;
import org.springframework.context.annotation.Import;
import org.springframework.context.event.EventListener;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@RestController
@EnableAutoConfiguration
@Import(Verifier.class)
public class App {
    public static void main(String[] arguments) {
        SpringApplication app = new SpringApplication(App.class);
        app.setDefaultProperties(Map.of("server.address", "127.0.0.1", "server.port", "0"));
        app.run(arguments);
    }

    @GetMapping("/")
    Map<String, String> who(@AuthenticationPrincipal Jwt claims) {
        return Map.of("sub", claims.getClaimAsString("sub"), "email", claims.getClaimAsString("email"));
    }

    @EventListener
    void listening(ServletWebServerInitializedEvent event) {
        System.out.println("listening on http://127.0.0.1:" + event.getWebServer().getPort());
    }
}
