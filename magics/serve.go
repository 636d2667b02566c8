package magics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/server"
	"github.com/llcuda/llcuda/jupyter"
)

func init() {
	register(Magic{Name: "serve", Args: "[status | stop]", Doc: "lets clients of OpenAI's API talk to the loaded model, while other cells run", Line: true,
		Help: `%serve                      at http://127.0.0.1:8080/v1; the display below the cell shows what goes on
%serve --port 0 --parallel 8    at a free port, eight texts at a time
%serve status               the same display here
%serve stop                 lets running answers end; an interrupt breaks them off
%infer and %chat go on with the same model: they have a cache of their own, and share the speed. Adapters that are on when it starts are the server's until it stops.
%load of another model leaves the server alone. %unload of its model ends it, and so does the end of the kernel: after a restart, say %load and %serve again.
Only programs of this machine reach it, unless --host says otherwise. A key in --api-key stays in the notebook: better put it into the environment, as LLCUDA_API_KEY.`,
		Flags: func(f *pflag.FlagSet) {
			AddServeFlags(f)
			f.String("model", "", "the loaded model of this `name` (default: the last one)")
		},
		Run: serve,
		Complete: func(in *Interpreter, c Completing) []string {
			if len(c.Words) == 0 {
				return []string{"status", "stop"}
			}
			return nil
		}})
}

func serve(ctx context.Context, c *Call) error {
	if err := c.atMost(1); err != nil {
		return err
	}
	verb := strings.Join(c.Args, "")
	if verb == "" {
		return startServer(c)
	}
	if verb != "status" && verb != "stop" {
		return c.usage("want status or stop, got %s", verb)
	}
	var stray string
	c.Flags.Visit(func(f *pflag.Flag) {
		if f.Name != "model" {
			stray = f.Name
		}
	})
	if stray != "" {
		return c.usage("--%s goes with a server's start; %s takes --model alone", stray, verb)
	}
	all, err := c.served()
	if err != nil {
		return err
	}
	if verb == "status" {
		return showServers(c, all)
	}
	return stopServers(ctx, c, all)
}

func startServer(c *Call) error {
	name, _ := c.Flags.GetString("model")
	l, err := c.models.find(name)
	if err != nil {
		return err
	}
	f, err := ReadServeFlags(c.Flags)
	if err != nil {
		return c.usage("%v", err)
	}
	if s := l.serving; s != nil && s.running() {
		return modelError("%s is served already, at %s; %%serve stop ends that", l.name, s.url)
	}
	listener, err := f.Listen()
	if err != nil {
		return &jupyter.Error{Name: "ServeError", Value: err.Error()}
	}
	s, err := newServing(c, l, f, listener)
	if err != nil {
		listener.Close()
		return err
	}
	if l.serving != nil { // one that has failed
		err = l.serving.close()
	}
	l.serving = s
	s.watch(c.Display)
	return err
}

// newServing begins to answer on listener.
func newServing(c *Call, l *loaded, f ServeFlags, listener net.Listener) (*serving, error) {
	o := f.Server
	o.Name, o.Version = cmp.Or(o.Name, l.name), c.o.Version
	srv, release, err := server.ForModel(l.model, o, f.Embeddings, f.Exact)
	if big := (*engine.TooBigError)(nil); errors.As(err, &big) && !c.Flags.Changed("parallel") && big.Texts > 0 {
		o.Parallel = min(o.Parallel, big.Texts)
		srv, release, err = server.ForModel(l.model, o, f.Embeddings, f.Exact)
	}
	if err != nil {
		return nil, modelError("%s: %v", l.name, err)
	}
	url, warning := f.URL(listener)
	if warning != "" {
		fmt.Fprintln(c.Display.Stderr(), warning)
	}
	what := fmt.Sprintf("%s at %s, %s at once of up to %d tokens", o.Name, url, count(o.Parallel, "text"), l.model.Info().Context)
	if len(o.APIKeys) > 0 {
		what += ", with a key"
	}
	return beginServing(srv, release, listener, url, what), nil
}

// served are the models that are served, or the one of that name.
func (c *Call) served() (all []*loaded, err error) {
	name, _ := c.Flags.GetString("model")
	if name != "" {
		l, err := c.models.find(name)
		if err != nil {
			return nil, err
		}
		if l.serving == nil {
			return nil, modelError("%s is not served; %%serve --model %s starts it", l.name, l.name)
		}
		return []*loaded{l}, nil
	}
	c.models.mu.Lock()
	defer c.models.mu.Unlock()
	for _, l := range c.models.all {
		if l.serving != nil {
			all = append(all, l)
		}
	}
	return all, nil
}

func showServers(c *Call, all []*loaded) error {
	if len(all) == 0 {
		fmt.Fprintf(c.Display.Stdout(), "nothing is served; %%serve starts with the loaded model\n")
	}
	for _, l := range all {
		l.serving.show(c.Display)
	}
	return nil
}

func stopServers(ctx context.Context, c *Call, all []*loaded) (err error) {
	if len(all) == 0 {
		fmt.Fprintln(c.Display.Stdout(), "nothing was served")
	}
	for _, l := range all {
		s := l.serving
		l.serving = nil
		if e := s.stop(ctx); e != nil {
			err = errors.Join(err, modelError("%s: %v", l.name, e))
			continue
		}
		fmt.Fprintf(c.Display.Stdout(), "%s is no longer served at %s%s\n", l.name, s.url, s.brokenOff())
	}
	return err
}
