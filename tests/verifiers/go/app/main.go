// A service behind the proxy: it says who is calling, to those who bring a good assertion.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	verifier, err := NewVerifier(os.Getenv("JWKS_URL"), os.Getenv("AUDIENCE"), os.Getenv("ISSUER"),
		seconds("KEYSET_MAX_AGE", "300"), seconds("KEYSET_PAUSE", "30"))
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		claims, err := verifier.Verify(r.Header.Values(header))
		if err != nil {
			answer(w, http.StatusUnauthorized, map[string]string{"error": err.Error()})
			return
		}
		answer(w, http.StatusOK, map[string]string{"sub": claims.Subject, "email": claims.Email})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:"+setting("PORT", "0"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Print(err)
	}
}

func seconds(name, fallback string) time.Duration {
	duration, err := time.ParseDuration(setting(name, fallback) + "s")
	if err != nil {
		log.Fatal(err)
	}
	return duration
}

func setting(name, fallback string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return fallback
}
