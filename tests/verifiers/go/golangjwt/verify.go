// Verifies the assertion of a request, with golang-jwt and keyfunc.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	header = "X-Pomerium-Jwt-Assertion"
	leeway = 5 * time.Second // that the clocks may be apart
	// How long a request may wait for its turn to fetch, and for the answer.
	patience = 500 * time.Millisecond
)

// Claims are those that the app uses; the others of the table in the README can be added.
type Claims struct {
	jwt.RegisteredClaims
	Email string `json:"email"`
}

// Verifier verifies with the keys of a keyset.
type Verifier struct {
	keys   keyfunc.Keyfunc
	parser *jwt.Parser
}

// NewVerifier fetches the keyset each maxAge. An unknown kid fetches it again, but not within pause.
func NewVerifier(jwksURL, audience, issuer string, maxAge, pause time.Duration) (*Verifier, error) {
	keys, err := keyfunc.NewDefaultOverrideCtx(context.Background(), []string{jwksURL}, keyfunc.Override{
		RefreshInterval: maxAge, RefreshUnknownKID: rate.NewLimiter(rate.Every(pause), 1), RateLimitWaitMax: patience,
		HTTPTimeout: 5 * time.Second,
	})
	return &Verifier{keys, jwt.NewParser(
		jwt.WithValidMethods([]string{"ES256", "RS256"}), jwt.WithAudience(audience), jwt.WithIssuer(issuer),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))}, err
}

// Verify returns the claims. values are all values of the header.
func (v *Verifier) Verify(values []string) (*Claims, error) {
	if len(values) != 1 {
		return nil, fmt.Errorf("%d assertions in place of one", len(values))
	}
	claims := Claims{}
	_, err := v.parser.ParseWithClaims(values[0], &claims, v.keys.Keyfunc)
	return &claims, err
}
