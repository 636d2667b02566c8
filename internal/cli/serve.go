package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine/server"
	"github.com/llcuda/llcuda/magics"
)

// A serving is the flags of llcuda serve.
type serving struct {
	modelFlags
	grace   time.Duration
	verbose bool
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
	magics.AddServeFlags(f)
	f.DurationVar(&s.grace, "grace", 10*time.Second, "how long answers may go on once the server is told to end")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "a line for each request on standard error")
	return cmd
}

func (s *serving) run(cmd *cobra.Command, name string) error {
	f, err := magics.ReadServeFlags(cmd.Flags())
	if err == nil && s.grace < 0 {
		err = fmt.Errorf("--grace %v: want 0 or more", s.grace)
	}
	if err != nil {
		return usageError{err}
	}
	// A port that is taken is said before a model is loaded for minutes.
	l, err := f.Listen()
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	defer l.Close()
	o, err := s.options(cmd)
	if err != nil {
		return err
	}
	o.Texts = f.Server.Parallel
	m, err := s.load(cmd, name, o)
	if err != nil {
		return err
	}
	defer m.Close()
	f.Server.Name, f.Server.Version = cmp.Or(f.Server.Name, strings.TrimSuffix(filepath.Base(name), ".gguf")), Version
	if s.verbose {
		f.Server.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	}
	srv, release, err := server.ForModel(m, f.Server, f.Embeddings, f.Exact)
	if err != nil {
		return err
	}
	url, warning := f.URL(l)
	if warning != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "llcuda: "+warning)
	}
	i := m.Info()
	fmt.Fprintf(cmd.ErrOrStderr(), "serving %s on %s, %d texts at once of up to %d tokens; Ctrl-C ends\n", f.Server.Name, i.Device, f.Server.Parallel, i.Context)
	fmt.Fprintln(cmd.OutOrStdout(), url)
	err = srv.Serve(cmd.Context(), l, s.grace)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, release())
}
