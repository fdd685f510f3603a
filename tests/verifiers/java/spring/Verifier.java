// Verifies the assertion of a request, with Spring Security's resource server.
import static org.springframework.security.oauth2.core.OAuth2TokenValidatorResult.failure;
import static org.springframework.security.oauth2.core.OAuth2TokenValidatorResult.success;
import static org.springframework.security.oauth2.jose.jws.SignatureAlgorithm.ES256;
import static org.springframework.security.oauth2.jose.jws.SignatureAlgorithm.RS256;

import java.time.Duration;
import java.time.Instant;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.security.oauth2.server.resource.autoconfigure.JwkSetUriJwtDecoderBuilderCustomizer;
import org.springframework.cache.concurrent.ConcurrentMapCache;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.oauth2.core.OAuth2AuthenticationException;
import org.springframework.security.oauth2.core.OAuth2Error;
import org.springframework.security.oauth2.core.OAuth2TokenValidator;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.server.resource.web.BearerTokenResolver;
import org.springframework.security.web.SecurityFilterChain;

/** Every request needs a good assertion; issuer and audience are in application.yaml. */
@Configuration
class Verifier {
    private static final OAuth2Error INVALID = new OAuth2Error("invalid_token");

    @Bean
    SecurityFilterChain everyRequest(HttpSecurity http) throws Exception {
        return http.authorizeHttpRequests(requests -> requests.anyRequest().authenticated())
            .oauth2ResourceServer(server -> server.jwt(jwt -> {}))
            .build();
    }

    /** Exactly one header, and not Authorization. */
    @Bean
    BearerTokenResolver header() {
        return request -> {
            List<String> values = Collections.list(request.getHeaders("X-Pomerium-Jwt-Assertion"));
            if (values.size() > 1) {
                throw new OAuth2AuthenticationException(INVALID);
            }
            return values.isEmpty() ? null : values.get(0);
        };
    }

    /** Else it takes the algorithms of the keys that it finds first, and refuses the other kind after a rotation. */
    @Bean
    JwkSetUriJwtDecoderBuilderCustomizer keys(
            @Value("${keyset.max-age:300}") long maxAge, @Value("${keyset.pause:30}") long pause) {
        return decoder -> decoder
            .jwsAlgorithms(names -> names.addAll(List.of(ES256, RS256)))
            .cache(new Keyset(Duration.ofSeconds(maxAge), Duration.ofSeconds(pause)));
    }

    /** By itself it accepts an assertion without exp. */
    @Bean
    OAuth2TokenValidator<Jwt> expiry() {
        return token -> token.getExpiresAt() == null ? failure(INVALID) : success();
    }

    /** Lives for a time. An unknown kid invalidates it, but not within a pause: by itself each of them fetches it. */
    static final class Keyset extends ConcurrentMapCache {
        private final Duration maxAge;
        private final Duration pause;
        private Instant fetched = Instant.EPOCH;

        Keyset(Duration maxAge, Duration pause) {
            super("keyset");
            this.maxAge = maxAge;
            this.pause = pause;
        }

        @Override
        public <T> T get(Object key, Callable<T> load) {
            if (isOlderThan(maxAge)) {
                clear();
            }
            return super.get(key, () -> {
                fetched = Instant.now();
                return load.call();
            });
        }

        @Override
        public boolean invalidate() {
            return isOlderThan(pause) && super.invalidate();
        }

        private boolean isOlderThan(Duration age) {
            return fetched.plus(age).isBefore(Instant.now());
        }
    }
}
