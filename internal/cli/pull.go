package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/magics"
)

// newPull fetches a model without loading it.
func newPull() *cobra.Command {
	var q catalog.Query
	var asJSON bool
	mf := modelFlags{gpuLayers: -1}
	cmd := &cobra.Command{
		Use:   "pull MODEL",
		Short: "Fetch a model from Hugging Face",
		Long: `Pull fetches a model into Hugging Face's cache, which Python's huggingface_hub shares,
and prints where it lies. MODEL is a short name (llcuda models search lists them), a
repository (org/name, org/name:Q4_K_M, hf.co/org/name) or a file of one
(org/name/x.gguf). Where it leaves the quantisation open, it is chosen for the memory of
the cards, or of the host. What came before an interrupt is kept, and the same command
goes on from there.

HF_TOKEN, or the file that hf auth login writes, opens private and gated
repositories; HF_HOME, HF_HUB_CACHE and HF_ENDPOINT choose other places.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "demo" {
				return usageError{errors.New("pull: demo is in llcuda itself: nothing to fetch; llcuda infer demo runs it")}
			}
			q.Name, q.Refresh = args[0], !q.Offline
			q.Room = func() catalog.Room {
				mf.cacheType = "f16"
				o, err := mf.options(cmd)
				if err != nil {
					return catalog.Room{}
				}
				return magics.Room(o)
			}
			found, err := pull(cmd, q, catalog.FromEnv().Find)
			if e := (*catalog.AdapterError)(nil); errors.As(err, &e) {
				found, err = pull(cmd, q, catalog.FromEnv().FindAdapter)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return encodeJSON(cmd.OutOrStdout(), magics.ModelJSON(found.Model))
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), found.Path)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.File, "file", "", "the `file` of the repository, its quantisation, or a pattern")
	f.StringVar(&q.Revision, "revision", "", "a branch, tag or commit of the repository (default: main)")
	f.BoolVar(&q.Offline, "offline", false, "ask no server: only say where it is on this machine")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// pull finds a model and fetches it if it is not here; progress goes to
// standard error.
func pull(cmd *cobra.Command, q catalog.Query, find finder) (*catalog.Found, error) {
	if magics.IsAddress(q.Name) {
		return nil, usageError{fmt.Errorf("%s: %s is the address of a server, and this needs a model on this machine; infer, chat and embed ask servers", cmd.Name(), q.Name)}
	}
	c := catalog.FromEnv()
	found, err := find(cmd.Context(), q)
	if err != nil {
		return nil, plain(err)
	}
	if found.Why != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), found.Why)
	}
	if found.Here() {
		return found, nil
	}
	p := &progress{w: cmd.ErrOrStderr(), what: found.Name, live: isTerminal(cmd.ErrOrStderr())}
	err = c.Fetch(cmd.Context(), found, p.update, p.waits)
	p.end()
	kept := c.Kept(found)
	switch {
	case err != nil && cmd.Context().Err() != nil:
		return nil, fmt.Errorf("interrupted: %s of %s are kept; the same command goes on from there", magics.BytesText(kept), magics.BytesText(found.Size))
	case err != nil && kept > 0:
		return nil, fmt.Errorf("%w; %s that came are kept", plain(err), magics.BytesText(kept))
	}
	return found, plain(err)
}

// progress shows how far a download is: on a terminal one line that changes,
// elsewhere a line every ten seconds.
type progress struct {
	w     io.Writer
	what  string
	live  bool
	last  time.Time
	width int // of the line that stands
	speed catalog.Speed

	waited bool
}

func (p *progress) update(done, total int64) {
	now := time.Now()
	p.speed.Add(now, done)
	period := 10 * time.Second
	if p.live {
		period = 200 * time.Millisecond
	}
	if now.Sub(p.last) < period && done < total || total <= 0 {
		return
	}
	p.last = now
	line := fmt.Sprintf("%s: %d %%, %s of %s%s", p.what, 100*done/total, magics.BytesText(done), magics.BytesText(total), magics.SpeedText(&p.speed, total))
	if !p.live {
		fmt.Fprintln(p.w, line)
		return
	}
	fmt.Fprintf(p.w, "\r%-*s", p.width, line)
	p.width = len(line)
}

// waits says, once, that another process is fetching the model.
func (p *progress) waits() {
	if p.waited {
		return
	}
	p.waited = true
	p.end()
	p.width = 0
	fmt.Fprintln(p.w, magics.WaitsText(p.what))
}

func (p *progress) end() {
	if p.width > 0 {
		fmt.Fprintln(p.w)
	}
}
