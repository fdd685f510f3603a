// Verifies the assertion of a request, with coreos/go-oidc. It is told the issuer alone, and asks there for the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	header = "X-Pomerium-Jwt-Assertion"
	leeway = 5 * time.Second // that the clocks may be apart
)

// Claims are those that the app uses; the others of the table in the README can be added.
type Claims struct {
	Subject string `json:"sub"`
	Email   string `json:"email"`
}

// Verifier keeps a provider for maxAge: go-oidc by itself believes a key until it meets an unknown one.
type Verifier struct {
	audience, issuer string
	maxAge, pause    time.Duration

	mutex  sync.Mutex
	tokens *oidc.IDTokenVerifier
	made   time.Time
}

// NewVerifier fetches nothing yet. The issuer is a URL; where its keyset is, it says itself.
func NewVerifier(_, audience, issuer string, maxAge, pause time.Duration) (*Verifier, error) {
	return &Verifier{audience: audience, issuer: issuer, maxAge: maxAge, pause: pause}, nil
}

// Verify returns the claims. values are all values of the header.
func (v *Verifier) Verify(values []string) (*Claims, error) {
	if len(values) != 1 {
		return nil, fmt.Errorf("%d assertions in place of one", len(values))
	}
	tokens, err := v.current()
	if err != nil {
		return nil, err
	}
	token, err := tokens.Verify(context.Background(), values[0])
	if err != nil {
		return nil, err
	}
	claims := Claims{}
	return &claims, token.Claims(&claims)
}

func (v *Verifier) current() (*oidc.IDTokenVerifier, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.tokens != nil && time.Since(v.made) < v.maxAge {
		return v.tokens, nil
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &seldom{pause: v.pause, asked: map[string]time.Time{}}}
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), client), v.issuer)
	if err != nil {
		return nil, err
	}
	v.made = time.Now()
	v.tokens = provider.Verifier(&oidc.Config{
		ClientID: v.audience, SupportedSigningAlgs: []string{oidc.ES256, oidc.RS256},
		Now: func() time.Time { return time.Now().Add(-leeway) },
	})
	return v.tokens, nil
}

// An unknown kid makes go-oidc fetch the keyset. This lets it, but not within a pause.
type seldom struct {
	pause time.Duration
	mutex sync.Mutex
	asked map[string]time.Time
}

func (s *seldom) RoundTrip(request *http.Request) (*http.Response, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	url := request.URL.String()
	if time.Since(s.asked[url]) < s.pause {
		return nil, errors.New("asked a moment ago")
	}
	s.asked[url] = time.Now()
	return http.DefaultTransport.RoundTrip(request)
}
