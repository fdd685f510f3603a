// Verifies the assertion of a request, with lestrrat-go/jwx.
package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

const (
	header = "X-Pomerium-Jwt-Assertion"
	leeway = 5 * time.Second // that the clocks may be apart
)

var algorithms = map[jwa.SignatureAlgorithm]bool{jwa.ES256(): true, jwa.RS256(): true}

// Claims are those that the app uses; the others of the table in the README can be added.
type Claims struct{ Subject, Email string }

// Verifier verifies with the keys of a keyset.
type Verifier struct {
	jwksURL, audience, issuer string
	pause                     time.Duration
	cache                     *jwk.Cache

	mutex sync.Mutex
	asked time.Time
}

// NewVerifier fetches the keyset each maxAge. An unknown kid fetches it again, but not within pause.
func NewVerifier(jwksURL, audience, issuer string, maxAge, pause time.Duration) (*Verifier, error) {
	cache, err := jwk.NewCache(context.Background(), httprc.NewClient())
	if err != nil {
		return nil, err
	}
	// Without an interval, it goes by Cache-Control, but not below 15 minutes.
	err = cache.Register(context.Background(), jwksURL, jwk.WithConstantInterval(maxAge))
	return &Verifier{jwksURL: jwksURL, audience: audience, issuer: issuer, pause: pause, cache: cache}, err
}

// Verify returns the claims. values are all values of the header.
func (v *Verifier) Verify(values []string) (*Claims, error) {
	if len(values) != 1 {
		return nil, fmt.Errorf("%d assertions in place of one", len(values))
	}
	token, err := jwt.ParseString(values[0], jwt.WithKeyProvider(jws.KeyProviderFunc(v.key)),
		jwt.WithAudience(v.audience), jwt.WithIssuer(v.issuer), jwt.WithRequiredClaim("exp"),
		jwt.WithAcceptableSkew(leeway))
	if err != nil {
		return nil, err
	}
	claims := Claims{}
	claims.Subject, _ = token.Subject()
	return &claims, token.Get("email", &claims.Email)
}

func (v *Verifier) key(ctx context.Context, sink jws.KeySink, signature *jws.Signature, _ *jws.Message) error {
	algorithm, _ := signature.ProtectedHeaders().Algorithm()
	if !algorithms[algorithm] {
		return fmt.Errorf("algorithm %s is not allowed", algorithm)
	}
	kid, _ := signature.ProtectedHeaders().KeyID()
	keys, err := v.cache.Lookup(ctx, v.jwksURL)
	if err != nil {
		return err
	}
	key, found := keys.LookupKeyID(kid)
	if !found && v.mayAsk() {
		if keys, err = v.cache.Refresh(ctx, v.jwksURL); err != nil {
			return err
		}
		key, found = keys.LookupKeyID(kid)
	}
	if !found {
		return fmt.Errorf("no key has the kid %q", kid)
	}
	sink.Key(algorithm, key)
	return nil
}

func (v *Verifier) mayAsk() bool {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if time.Since(v.asked) < v.pause {
		return false
	}
	v.asked = time.Now()
	return true
}
