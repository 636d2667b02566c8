package magics

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/server"
)

// ServeFlags are the flags that %serve and llcuda serve have in common.
type ServeFlags struct {
	Host       string
	Port       int
	Embeddings bool           // also of a model that generates
	Exact      bool           // see server.ForModel
	Server     server.Options // Name is that of --alias, if there is one
}

// AddServeFlags adds them to f.
func AddServeFlags(f *pflag.FlagSet) {
	f.String("host", "127.0.0.1", "the `address` to listen at; 0.0.0.0 is every one of this machine")
	f.IntP("port", "p", 8080, "the port; 0 takes a free one")
	f.Int("parallel", 4, "so many `texts` are answered at once")
	f.Int("queue", 64, "so many `texts` may wait; others are told to come again")
	f.StringArray("api-key", nil, "requests have to carry this `key`, or one of several (default: LLCUDA_API_KEY)")
	f.String("alias", "", "the `name` of the model for clients (default: its own)")
	f.StringArray("allow-host", nil, "a `name` of this machine that clients call it by")
	f.StringArray("cors", nil, "an `origin` whose pages may ask, as https://example.org; * is any")
	f.Bool("embeddings", false, "make embeddings with a model that generates, too")
	f.Bool("exact", false, "answers do not depend, in any bit, on what else is asked; slower")
}

// ReadServeFlags reads and checks the flags of f.
func ReadServeFlags(f *pflag.FlagSet) (s ServeFlags, err error) {
	o := &s.Server
	s.Host, _ = f.GetString("host")
	s.Port, _ = f.GetInt("port")
	s.Embeddings, _ = f.GetBool("embeddings")
	s.Exact, _ = f.GetBool("exact")
	o.Name, _ = f.GetString("alias")
	o.Parallel, _ = f.GetInt("parallel")
	o.Queue, _ = f.GetInt("queue")
	o.APIKeys, _ = f.GetStringArray("api-key")
	o.Hosts, _ = f.GetStringArray("allow-host")
	o.Origins, _ = f.GetStringArray("cors")
	switch {
	case s.Port < 0 || s.Port > 65535:
		return s, fmt.Errorf("--port %d: want 1 to 65535, or 0 for a free one", s.Port)
	case o.Parallel < 1 || o.Parallel > engine.MaxTexts:
		return s, fmt.Errorf("--parallel %d: want 1 to %d texts", o.Parallel, engine.MaxTexts)
	case o.Queue < 0:
		return s, fmt.Errorf("--queue %d: want 0 or more texts", o.Queue)
	}
	bad := f.Changed("api-key") && len(o.APIKeys) == 0 // pflag's reading of ''
	for _, key := range o.APIKeys {
		bad = bad || key == "" || strings.TrimSpace(key) != key
	}
	if bad {
		return s, errors.New("--api-key: the key is empty, or has blanks around it")
	}
	o.Queue = cmp.Or(o.Queue, -1)
	if key := strings.TrimSpace(os.Getenv("LLCUDA_API_KEY")); key != "" && len(o.APIKeys) == 0 {
		o.APIKeys = []string{key}
	}
	return s, nil
}

// Listen takes the port.
func (s *ServeFlags) Listen() (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
	if err != nil {
		return nil, fmt.Errorf("%w; take another --port, or 0 for a free one", err)
	}
	return l, nil
}

// URL is where clients of this machine find l, and warning what its owner has
// to know, if anything.
func (s *ServeFlags) URL(l net.Listener) (url, warning string) {
	a := l.Addr().(*net.TCPAddr)
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		host = "localhost"
	}
	if !a.IP.IsLoopback() && len(s.Server.APIKeys) == 0 {
		warning = "whoever reaches this machine may ask: there is no --api-key"
	}
	return fmt.Sprintf("http://%s/v1", net.JoinHostPort(host, strconv.Itoa(a.Port))), warning
}
