// Verifies the assertion of a request, with go-jose.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	header = "X-Pomerium-Jwt-Assertion"
	leeway = 5 * time.Second // that the clocks may be apart
)

var (
	algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.RS256}
	client     = http.Client{Timeout: 5 * time.Second}
)

// Claims are those that the app uses; the others of the table in the README can be added.
type Claims struct {
	jwt.Claims
	Email string `json:"email"`
}

// Verifier keeps the keyset for maxAge. An unknown kid fetches it again, but not within pause.
type Verifier struct {
	jwksURL, audience, issuer string
	maxAge, pause             time.Duration

	mutex   sync.Mutex
	keys    jose.JSONWebKeySet
	fetched time.Time
}

// NewVerifier fetches nothing yet.
func NewVerifier(jwksURL, audience, issuer string, maxAge, pause time.Duration) (*Verifier, error) {
	return &Verifier{jwksURL: jwksURL, audience: audience, issuer: issuer, maxAge: maxAge, pause: pause}, nil
}

// Verify returns the claims. values are all values of the header.
func (v *Verifier) Verify(values []string) (*Claims, error) {
	if len(values) != 1 {
		return nil, fmt.Errorf("%d assertions in place of one", len(values))
	}
	token, err := jwt.ParseSigned(values[0], algorithms)
	if err != nil {
		return nil, err
	}
	key, err := v.key(token.Headers[0].KeyID)
	if err != nil {
		return nil, err
	}
	claims := Claims{}
	if err := token.Claims(key.Key, &claims); err != nil {
		return nil, err
	}
	if claims.Expiry == nil {
		return nil, errors.New("the assertion has no exp")
	}
	expected := jwt.Expected{Issuer: v.issuer, AnyAudience: jwt.Audience{v.audience}, Time: time.Now()}
	return &claims, claims.ValidateWithLeeway(expected, leeway)
}

func (v *Verifier) key(kid string) (*jose.JSONWebKey, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	age := time.Since(v.fetched)
	keys := v.keys.Key(kid)
	if age >= v.maxAge || (len(keys) == 0 && age >= v.pause) {
		if err := v.fetch(); err != nil {
			return nil, err
		}
		keys = v.keys.Key(kid)
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("no key has the kid %q", kid)
	}
	return &keys[0], nil
}

func (v *Verifier) fetch() error {
	answer, err := client.Get(v.jwksURL)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the keyset: %s", answer.Status)
	}
	keys := jose.JSONWebKeySet{}
	if err := json.NewDecoder(answer.Body).Decode(&keys); err != nil {
		return err
	}
	v.keys, v.fetched = keys, time.Now()
	return nil
}
