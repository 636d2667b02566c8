package magics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine/remote"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics/expr"
)

// An endpoint is a model that servers of OpenAI's API answer for.
type endpoint struct {
	pool  *remote.Pool
	model remote.Model // as the first server lists it
	tell  atomic.Pointer[jupyter.Display]
}

// IsAddress reports whether a model is named by the address of a server.
func IsAddress(s string) bool {
	return (strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")) && !catalog.OnHub(s)
}

// hosts names the servers.
func (e *endpoint) hosts() string {
	var all []string
	for _, c := range e.pool.Clients() {
		all = append(all, c.Address())
	}
	return strings.Join(all, " and ")
}

// parallel is how many calls it is sent at once where nobody says.
func (e *endpoint) parallel() int {
	if n := e.oneByOne(); n > 0 {
		return n
	}
	return 32 * len(e.pool.Clients())
}

// oneByOne is how many calls servers are sent that do one at a time, or 0: the
// one of llama-cpp-python drops an answer when it is asked anew.
func (e *endpoint) oneByOne() int {
	if e.model.OwnedBy == "me" {
		return len(e.pool.Clients())
	}
	return 0
}

// row is an endpoint in %models: model, architecture, parameters, type, size,
// context, device. What it does not tell stays empty.
func (e *endpoint) row(name string) []string {
	row := []string{name, "", "", "", "", "", e.hosts()}
	if e.model.Params > 0 {
		row[2] = countText(e.model.Params)
	}
	if e.model.Size > 0 {
		row[4] = bytesText(e.model.Size)
	}
	if e.model.Context > 0 {
		row[5] = fmt.Sprint(e.model.Context)
	}
	return row
}

// watch says in a cell what happens to the servers, until the cell ends.
func (e *endpoint) watch(d *jupyter.Display) (end func()) {
	e.tell.Store(d)
	return func() { e.tell.Store(nil) }
}

func (e *endpoint) notice(n remote.Notice) {
	d := e.tell.Load()
	if d == nil {
		return
	}
	fmt.Fprintln(d.Stderr(), noticeText(n, len(e.pool.Clients()) > 1))
}

func noticeText(n remote.Notice, several bool) string {
	switch {
	case n.Err == nil:
		return n.Server + " is back"
	case several:
		return fmt.Sprintf("%v; it is left out for %s", n.Err, secondsText(n.Out))
	}
	return fmt.Sprintf("%v; trying again in %s", n.Err, secondsText(n.Out))
}

func loadEndpoint(ctx context.Context, c *Call) error {
	own := ""
	c.Flags.Visit(func(f *pflag.Flag) {
		if own == "" && !slices.Contains([]string{"model", "key-env", "as", "silent"}, f.Name) {
			own = f.Name
		}
	})
	if own != "" {
		return c.usage("--%s is for models on this machine; the server of an endpoint chose its own when it was started", own)
	}
	for _, a := range c.Args {
		if !IsAddress(a) {
			return c.usage("%s is no address; several are several servers of one model", a)
		}
	}
	keyEnv, _ := c.Flags.GetString("key-env")
	want, _ := c.Flags.GetString("model")
	start := time.Now()
	e, warnings, err := openEndpoint(ctx, c.Args, want, keyEnv)
	if err != nil {
		return err
	}
	l := &loaded{endpoint: e}
	if l.name, _ = c.Flags.GetString("as"); l.name == "" {
		l.name = e.model.ID
	}
	if old, _ := c.models.find(l.name); old != nil && old.name == l.name && old.serving != nil && old.serving.running() {
		return errors.Join(modelError("%s is the name of a model that is served here, at %s; --as NAME gives the endpoint a name of its own", l.name, old.serving.url), e.pool.Close())
	}
	if err := c.models.add(l); err != nil {
		return modelError("the former %s could not be freed: %v", l.name, err)
	}
	if silent, _ := c.Flags.GetBool("silent"); silent {
		return nil
	}
	for _, w := range warnings {
		fmt.Fprintln(c.Display.Stderr(), w)
	}
	text := fmt.Sprintf("loaded %s: ", l.name)
	if l.name != e.model.ID {
		text += e.model.ID + " "
	}
	text += "at " + e.hosts()
	if e.model.Context > 0 {
		text += fmt.Sprintf(", context %d", e.model.Context)
	}
	text += ", in " + secondsText(time.Since(start))
	c.Display.Show(jupyter.Bundle{"text/plain": text, "text/html": renderHTML(noteHTML, text)})
	return nil
}

// openEndpoint asks servers for their models and chooses one that all have.
// Servers that do not answer are warned of, as long as one does.
func openEndpoint(ctx context.Context, addresses []string, want, keyEnv string) (e *endpoint, warnings []string, err error) {
	var clients []*remote.Client
	for _, a := range addresses {
		key, warning, err := endpointKey(a, keyEnv)
		if err != nil {
			return nil, nil, err
		}
		if warning != "" {
			warnings = append(warnings, warning)
		}
		c, err := remote.New(a, remote.Options{Key: key})
		if err != nil {
			return nil, nil, modelError("%s", strings.TrimPrefix(err.Error(), "remote: "))
		}
		if slices.ContainsFunc(clients, func(o *remote.Client) bool { return o.Address() == c.Address() }) {
			return nil, nil, modelError("%s is named twice", c.Address())
		}
		clients = append(clients, c)
	}
	e = &endpoint{pool: remote.NewPool(clients...)}
	e.pool.Notify = e.notice
	more, err := e.choose(ctx, want)
	if err != nil {
		return nil, nil, errors.Join(err, e.pool.Close())
	}
	return e, append(warnings, more...), nil
}

// endpointKey is the key for an address: of the variable that the user names,
// or of OPENAI_API_KEY where it does not leave this machine in the clear.
func endpointKey(address, keyEnv string) (key, warning string, err error) {
	if keyEnv != "" {
		if key = strings.TrimSpace(os.Getenv(keyEnv)); key == "" {
			return "", "", modelError("the environment variable %s of --key-env is empty; %%env %s=… sets it", keyEnv, keyEnv)
		}
		return key, "", nil
	}
	key = strings.TrimSpace(os.Getenv("OPENAI_API_KEY"))
	if key != "" && !remote.Private(address) {
		return "", fmt.Sprintf("OPENAI_API_KEY is not sent to %s, since http is not encrypted; --key-env OPENAI_API_KEY sends it all the same", address), nil
	}
	return key, "", nil
}

// choose finds the model that is meant.
func (e *endpoint) choose(ctx context.Context, want string) (warnings []string, err error) {
	var common []remote.Model
	answered, listed := 0, false
	var failed error
	for _, c := range e.pool.Clients() {
		models, err := c.Models(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case remote.NoList(err):
			answered++
			continue
		case err != nil:
			failed = errors.Join(failed, err)
			warnings = append(warnings, fmt.Sprintf("%v; it is asked again when it is needed", err))
			continue
		case !listed:
			common = models
		default:
			common = slices.DeleteFunc(common, func(m remote.Model) bool {
				return !slices.ContainsFunc(models, func(o remote.Model) bool { return o.ID == m.ID })
			})
		}
		answered++
		listed = true
	}
	if answered == 0 {
		return nil, modelError("%v%s", failed, serverHint(failed))
	}
	var ids []string
	for _, m := range common {
		ids = append(ids, m.ID)
	}
	switch {
	case want == "" && len(common) == 1:
		e.model = common[0]
	case want == "" && !listed:
		return nil, modelError("%s lists no models; name one with --model", e.hosts())
	case want == "" && len(common) == 0:
		return nil, modelError("%s: there is no model that all of them have; name one with --model", e.hosts())
	case want == "":
		return nil, modelError("%s has %d models; choose one with --model: %s", e.hosts(), len(ids), strings.Join(ids, ", "))
	default:
		if i := slices.IndexFunc(ids, func(id string) bool { return id == want || id == want+":latest" }); i >= 0 {
			e.model = common[i]
			break
		}
		e.model = remote.Model{ID: want}
		if listed { // it may know more names than it lists
			warning := fmt.Sprintf("%s is not among the models that %s lists: %s", want, e.hosts(), strings.Join(ids, ", "))
			if best := expr.Closest(want, ids); best != "" {
				warning = fmt.Sprintf("%s is not among the models that %s lists; did you mean %s?", want, e.hosts(), best)
			}
			warnings = append(warnings, warning)
		}
	}
	return warnings, nil
}

// serverHint is what to do about a server's error.
func serverHint(err error) string {
	var e *remote.APIError
	var cut *remote.CutError
	switch {
	case errors.As(err, &cut):
		return "; run the cell again to ask anew"
	case !errors.As(err, &e):
		return "; is the server running, and the address right?"
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return "; --key-env NAME of %load names the environment variable that holds the key"
	case e.Status == http.StatusTooManyRequests:
		return "; the server is busy: try again later"
	case e.Status == http.StatusNotFound:
		return "; %load names address and model anew"
	case e.Status >= 500:
		return "; its own log says more"
	}
	return ""
}

// endpointError is an error of an endpoint for the user.
func endpointError(ctx context.Context, l *loaded, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return modelError("%s: %s%s", l.name, strings.TrimPrefix(err.Error(), "remote: "), serverHint(err))
}
