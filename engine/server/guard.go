package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/llcuda/llcuda/internal/openai"
)

// guard decides who may ask. A page that a browser shows must not reach a
// server on the same machine: by a name of its own that points here (DNS
// rebinding: Host), or from its own origin (Origin).
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		control.SetWriteDeadline(time.Now().Add(s.o.WriteTimeout)) // an earlier request has left its own
		control.SetReadDeadline(time.Now().Add(s.o.BodyTimeout))   // also of a body that nobody asks for
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := s.admit(w, r); err != nil {
			s.route("refused", map[string]handler{r.Method: func(*response, *http.Request) error { return err }}).ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			s.preflight(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// admit refuses, or sets the headers that let a page of a known origin read
// the answer.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) error {
	if !s.knownHost(r.Host) {
		return &openai.Error{Status: http.StatusForbidden, Type: openai.InvalidRequest, Code: "host_not_allowed",
			Message: fmt.Sprintf("Host %.100q is not known here; start the server with --allow-host to answer to that name.", r.Host)}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		known := slices.Contains(s.o.Origins, "*") || slices.Contains(s.o.Origins, origin)
		if u, err := url.Parse(origin); !known && (err != nil || u.Host == "" || u.Host != r.Host) {
			return &openai.Error{Status: http.StatusForbidden, Type: openai.InvalidRequest, Code: "origin_not_allowed",
				Message: fmt.Sprintf("Pages of %.100q may not ask; start the server with --cors to let them.", origin)}
		}
		w.Header().Add("Vary", "Origin")
		if known {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
		}
	}
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" // carries no key
	if len(s.keys) > 0 && !preflight && r.URL.Path != "/health" && !s.knownKey(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		message := "Incorrect API key provided."
		if r.Header.Get("Authorization") == "" {
			message = "You didn't provide an API key. Send it in an Authorization header: Authorization: Bearer YOUR_KEY."
		}
		return &openai.Error{Status: http.StatusUnauthorized, Type: openai.InvalidRequest, Code: openai.CodeInvalidKey, Message: message}
	}
	return nil
}

// preflight answers a browser that asks on behalf of a page.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		h.Set("Access-Control-Max-Age", "600")
		if headers := r.Header.Get("Access-Control-Request-Headers"); headers != "" {
			h.Set("Access-Control-Allow-Headers", headers) // clients send a dozen X-Stainless-* ones
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// knownHost accepts names that nobody else can give this machine: addresses,
// localhost and those of Options.Hosts.
func (s *Server) knownHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	return slices.ContainsFunc(s.o.Hosts, func(known string) bool { return known == "*" || strings.EqualFold(known, host) })
}

// knownKey takes the same time for every wrong key.
func (s *Server) knownKey(r *http.Request) bool {
	kind, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return false
	}
	hash := sha256.Sum256([]byte(strings.TrimSpace(key)))
	found := 0
	for _, k := range s.keys {
		found |= subtle.ConstantTimeCompare(k[:], hash[:])
	}
	return found == 1
}

func hashKeys(keys []string) (hashes [][32]byte) {
	for _, k := range keys {
		if k != "" {
			hashes = append(hashes, sha256.Sum256([]byte(k)))
		}
	}
	return hashes
}
