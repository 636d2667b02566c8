package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/server"
)

// A serving is the flags of llcuda serve.
type serving struct {
	modelFlags
	host            string
	port            int
	grace           time.Duration
	parallel, queue int
	o               server.Options
	embed, exact    bool
	verbose         bool
}

// newServe puts a model behind the API that OpenAI's clients speak.
func newServe() *cobra.Command {
	var s serving
	cmd := &cobra.Command{
		Use:   "serve MODEL",
		Short: "Answer the clients of OpenAI's API with a model",
		Long: `Serve loads a model and answers /v1/chat/completions, /v1/completions, /v1/responses,
/v1/embeddings and /v1/models for any client of OpenAI's API; /openapi.json describes
all routes. Only programs of this machine reach it, unless --host says otherwise. The
first line on standard output is the base URL. Ctrl-C or SIGTERM ends it, once answers
that are under way have ended or --grace is over.

Environment:
  LLCUDA_API_KEY   the key that requests have to carry, where --api-key is not given`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	s.modelFlags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&s.host, "host", "127.0.0.1", "the `address` to listen at; 0.0.0.0 is every one of this machine")
	f.IntVarP(&s.port, "port", "p", 8080, "the port; 0 takes a free one")
	f.IntVar(&s.parallel, "parallel", 4, "so many `texts` are answered at once")
	f.IntVar(&s.queue, "queue", 64, "so many `texts` may wait; others are told to come again")
	f.StringArrayVar(&s.o.APIKeys, "api-key", nil, "requests have to carry this `key`, or one of several (default: LLCUDA_API_KEY)")
	f.StringVar(&s.o.Name, "alias", "", "the `name` of the model for clients (default: the file's)")
	f.StringArrayVar(&s.o.Hosts, "allow-host", nil, "a `name` of this machine that clients call it by")
	f.StringArrayVar(&s.o.Origins, "cors", nil, "an `origin` whose pages may ask, as https://example.org; * is any")
	f.BoolVar(&s.embed, "embeddings", false, "make embeddings with a model that generates, too")
	f.BoolVar(&s.exact, "exact", false, "answers do not depend, in any bit, on what else is asked; slower")
	f.DurationVar(&s.grace, "grace", 10*time.Second, "how long answers may go on once the server is told to end")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "a line for each request on standard error")
	return cmd
}

// check refuses flags before a model is loaded.
func (s *serving) check() error {
	switch {
	case s.port < 0 || s.port > 65535:
		return fmt.Errorf("--port %d: want 1 to 65535, or 0 for a free one", s.port)
	case s.parallel < 1 || s.parallel > engine.MaxTexts:
		return fmt.Errorf("--parallel %d: want 1 to %d texts", s.parallel, engine.MaxTexts)
	case s.queue < 0:
		return fmt.Errorf("--queue %d: want 0 or more texts", s.queue)
	case s.grace < 0:
		return fmt.Errorf("--grace %v: want 0 or more", s.grace)
	}
	for _, key := range s.o.APIKeys {
		if strings.TrimSpace(key) == "" || strings.TrimSpace(key) != key {
			return errors.New("--api-key: the key is empty, or has blanks around it")
		}
	}
	return nil
}

func (s *serving) run(cmd *cobra.Command, name string) error {
	if err := s.check(); err != nil {
		return usageError{err}
	}
	if key := strings.TrimSpace(os.Getenv("LLCUDA_API_KEY")); key != "" && len(s.o.APIKeys) == 0 {
		s.o.APIKeys = []string{key}
	}
	// A port that is taken is said before a model is loaded for minutes.
	l, err := net.Listen("tcp", net.JoinHostPort(s.host, strconv.Itoa(s.port)))
	if err != nil {
		return fmt.Errorf("serve: %w; take another --port, or 0 for a free one", err)
	}
	defer l.Close()
	o, err := s.options(cmd)
	if err != nil {
		return err
	}
	o.Texts = s.parallel
	m, err := load(cmd, name, o)
	if err != nil {
		return err
	}
	defer m.Close()
	s.o.Name = cmp.Or(s.o.Name, strings.TrimSuffix(filepath.Base(name), ".gguf"))
	s.o.Parallel, s.o.Queue, s.o.Version = s.parallel, cmp.Or(s.queue, -1), Version
	if s.verbose {
		s.o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	}
	srv, release, err := server.ForModel(m, s.o, s.embed, s.exact)
	if err != nil {
		return err
	}
	s.announce(cmd, m, l.Addr().(*net.TCPAddr))
	err = srv.Serve(cmd.Context(), l, s.grace)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, release())
}

func (s *serving) announce(cmd *cobra.Command, m *engine.Model, a *net.TCPAddr) {
	if !a.IP.IsLoopback() && len(s.o.APIKeys) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "llcuda: whoever reaches this machine may ask: there is no --api-key")
	}
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		host = "localhost"
	}
	i := m.Info()
	fmt.Fprintf(cmd.ErrOrStderr(), "serving %s on %s, %d texts at once of up to %d tokens; Ctrl-C ends\n", s.o.Name, i.Device, s.parallel, i.Context)
	fmt.Fprintf(cmd.OutOrStdout(), "http://%s/v1\n", net.JoinHostPort(host, strconv.Itoa(a.Port)))
}
