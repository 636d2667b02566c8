package magics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/jupyter"
)

// FindModel finds the file that a user's name of a model means, on this
// machine: a path, a short name (any case, with or without .gguf, as long as it
// is unique), a repository that was fetched. The error says what could be done.
func FindModel(name string) (string, error) {
	if IsAddress(name) {
		return "", modelError("%s: the model of an endpoint has no file here; %%load takes it", name)
	}
	f, err := catalog.FromEnv().FindLocal(catalog.Query{Name: name})
	if err != nil {
		return "", modelError("%v", err)
	}
	return f.Path, nil
}

// Room is the memory that the options leave for a model.
func Room(o engine.Options) catalog.Room {
	host, _ := o.Device.Memory()
	if o.GPULayers == 0 || len(o.GPUs) == 0 {
		return catalog.Room{Device: o.Device.Name(), Free: host}
	}
	const rows, cols = 512, 16384 // of an input, as of large models
	var r catalog.Room
	var names []string
	for _, d := range o.GPUs {
		free, _ := d.Memory()
		if s, ok := d.(interface{ Overhead(rows, cols int) int64 }); ok {
			free -= s.Overhead(rows, cols)
		}
		r.Free += max(0, free)
		names = append(names, d.Name())
	}
	r.Device, r.Host = strings.Join(names, "+"), host
	return r
}

// fetchFlags are the options of every magic that may fetch a model.
func fetchFlags(f *pflag.FlagSet) {
	f.String("file", "", "the `file` of the repository, its quantisation, or a pattern")
	f.String("revision", "", "a branch, tag or commit of the repository (default: main)")
	f.Bool("offline", false, "ask no server: only what is on this machine")
}

// fetch reads fetchFlags.
func (c *Call) fetch(name string, room func() catalog.Room, tokens int) *fetch {
	f := &fetch{Query: catalog.Query{Name: name, Room: room, Context: tokens}, places: catalog.FromEnv(), display: c.Display}
	f.File, _ = c.Flags.GetString("file")
	f.Revision, _ = c.Flags.GetString("revision")
	f.Offline, _ = c.Flags.GetBool("offline")
	return f
}

// modelFiles completes the models on this machine: files, short names, demo.
func modelFiles(c Completing) []string {
	names := c.files(".gguf")
	if !strings.ContainsAny(c.Word, `/\`) {
		names = append(names, "demo")
		for _, m := range catalog.FromEnv().Local() {
			names = append(names, m.Name)
		}
	}
	return names
}

// shortNames completes those of the registry, too.
func shortNames(names []string) []string {
	for _, e := range catalog.Registry() {
		names = append(names, e.Name)
	}
	return names
}

// A fetch is a query, and where its progress is shown.
type fetch struct {
	catalog.Query
	places  *catalog.Catalog
	display *jupyter.Display
	silent  bool

	look func(context.Context, catalog.Query) (*catalog.Found, error) // nil: places.Find
}

// find finds the query's model and fetches it if it is not here.
func (f *fetch) find(ctx context.Context) (*catalog.Found, error) {
	look := f.look
	if look == nil {
		look = f.places.Find
	}
	found, err := look(ctx, f.Query)
	if err != nil {
		return nil, findError(ctx, err)
	}
	if found.Here() {
		return found, nil
	}
	bar := progressBar{d: f.display, what: "fetching " + found.Name, off: f.silent || !f.display.Interactive(), rate: true}
	bar.begin()
	var waits func()
	if !f.silent {
		waits = func() { bar.waits(WaitsText(found.Name)) }
	}
	err = f.places.Fetch(ctx, found, bar.update, waits)
	switch kept := f.places.Kept(found); {
	case err != nil && ctx.Err() != nil:
		bar.failed()
		return nil, &jupyter.Error{Name: "KeyboardInterrupt", Value: fmt.Sprintf("interrupted: %s of %s are kept; the same line goes on from there",
			bytesText(kept), bytesText(found.Size))}
	case err != nil && kept > 0:
		bar.failed()
		return nil, modelError("%v; %s that came are kept", err, bytesText(kept))
	case err != nil:
		bar.failed()
		return nil, findError(ctx, err)
	}
	if !f.silent {
		text := fmt.Sprintf("fetched %s from %s: %s in %s", found.Name, found.Repo, bytesText(found.Size), secondsText(time.Since(bar.start)))
		if r := bar.speed.Mean(); r > 0 {
			text += ", " + bytesText(int64(r)) + "/s"
		}
		bar.done(text)
	}
	return found, nil
}

func findError(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	var adapter *catalog.AdapterError
	if errors.As(err, &adapter) {
		return errors.Join(modelError("%v", err), adapter) // %load and %pull know what to do
	}
	return modelError("%v", err)
}

func modelError(format string, args ...any) error {
	return &jupyter.Error{Name: "ModelError", Value: fmt.Sprintf(format, args...)}
}
