// Verifies the assertion of a request, with jose4j.
import static org.jose4j.jws.AlgorithmIdentifiers.ECDSA_USING_P256_CURVE_AND_SHA256;
import static org.jose4j.jws.AlgorithmIdentifiers.RSA_USING_SHA256;

import java.util.List;
import java.util.Map;
import org.jose4j.jwa.AlgorithmConstraints;
import org.jose4j.jwa.AlgorithmConstraints.ConstraintType;
import org.jose4j.jwk.HttpsJwks;
import org.jose4j.jwt.consumer.InvalidJwtException;
import org.jose4j.jwt.consumer.JwtConsumer;
import org.jose4j.jwt.consumer.JwtConsumerBuilder;
import org.jose4j.keys.resolvers.HttpsJwksVerificationKeyResolver;

/** Keeps the keyset as long as its Cache-Control says. An unknown kid fetches it again, but not within a pause. */
final class Verifier {
    static final String HEADER = "X-Pomerium-Jwt-Assertion";
    /** Seconds that the clocks may be apart. */
    private static final int LEEWAY = 5;

    private final JwtConsumer consumer;

    /** The pause is in milliseconds. The first time is not used: the proxy says how long its keyset lives. */
    Verifier(String jwksUrl, String audience, String issuer, long ignored, long pause) {
        HttpsJwks keys = new HttpsJwks(jwksUrl);
        keys.setRefreshReprieveThreshold(pause);
        consumer = new JwtConsumerBuilder()
            .setVerificationKeyResolver(new HttpsJwksVerificationKeyResolver(keys))
            .setJwsAlgorithmConstraints(new AlgorithmConstraints(
                ConstraintType.PERMIT, ECDSA_USING_P256_CURVE_AND_SHA256, RSA_USING_SHA256))
            .setExpectedAudience(audience)
            .setExpectedIssuer(issuer)
            .setRequireExpirationTime()
            .setRequireSubject()
            .setAllowedClockSkewInSeconds(LEEWAY)
            .build();
    }

    /** The claims. The values are all values of the header; anything wrong throws. */
    Map<String, Object> verify(List<String> values) throws InvalidJwtException {
        if (values.size() != 1) {
            throw new InvalidJwtException(values.size() + " assertions in place of one", List.of(), null);
        }
        return consumer.processToClaims(values.get(0)).getClaimsMap();
    }
}
