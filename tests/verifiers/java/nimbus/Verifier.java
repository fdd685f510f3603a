// Verifies the assertion of a request, with nimbus-jose-jwt.
import static com.nimbusds.jose.JWSAlgorithm.ES256;
import static com.nimbusds.jose.JWSAlgorithm.RS256;

import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.DefaultResourceRetriever;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.BadJWTException;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Keeps the keyset for a time. An unknown kid fetches it again, but no more than twice within a pause. */
final class Verifier {
    static final String HEADER = "X-Pomerium-Jwt-Assertion";
    /** Seconds that the clocks may be apart. */
    private static final int LEEWAY = 5;

    private final DefaultJWTProcessor<SecurityContext> processor = new DefaultJWTProcessor<>();

    /** Times are in milliseconds. */
    Verifier(String jwksUrl, String audience, String issuer, long maxAge, long pause) throws Exception {
        var keys = JWKSourceBuilder
            .create(URI.create(jwksUrl).toURL(), new DefaultResourceRetriever(5_000, 5_000))
            .cache(maxAge, 5_000)
            .refreshAheadCache(false)
            .rateLimited(pause)
            .build();
        processor.setJWSKeySelector(new JWSVerificationKeySelector<>(Set.of(ES256, RS256), keys));
        var rules = new DefaultJWTClaimsVerifier<>(
            audience, new JWTClaimsSet.Builder().issuer(issuer).build(), Set.of("exp", "iat", "sub"));
        rules.setMaxClockSkew(LEEWAY);
        processor.setJWTClaimsSetVerifier(rules);
    }

    /** The claims. The values are all values of the header; anything wrong throws. */
    Map<String, Object> verify(List<String> values) throws Exception {
        if (values.size() != 1) {
            throw new BadJWTException(values.size() + " assertions in place of one");
        }
        return processor.process(values.get(0), null).getClaims();
    }
}
