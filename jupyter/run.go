package jupyter

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// RunOptions say how a notebook is run.
type RunOptions struct {
	// Echo gets the cells' sources, output as it comes, and a summary; coloured
	// when it is a terminal. Nil: nothing is shown.
	Echo io.Writer
	// AllowErrors goes on after a failing cell.
	AllowErrors bool
}

// Run executes the code cells in order, without Jupyter, and writes their
// outputs and execution counts into nb. It stops at the first cell that fails
// and returns its error, unless the cell is tagged raises-exception. Cells
// tagged skip-execution are left alone. Nobody can be asked for input.
func (nb *Notebook) Run(ctx context.Context, in Interpreter, o RunOptions) error {
	if nb.Metadata == nil {
		nb.Metadata = make(map[string]any)
	}
	if info, err := plainJSON(in.Info().Language.content()); err == nil {
		nb.Metadata["language_info"] = info
	}
	r := &runner{in: in, echo: newEcho(o.Echo), ids: make(map[string][]map[string]any)}
	defer r.end()
	start, total, failed := time.Now(), 0, 0
	var first error
	for _, c := range nb.Cells {
		if c.Type != "code" {
			r.echo.prose(c)
			continue
		}
		if c.tagged("skip-execution") {
			continue
		}
		total++
		err := r.run(ctx, c, total)
		if ctx.Err() != nil {
			r.echo.summary(total, failed+1, time.Since(start))
			return fmt.Errorf("jupyter: cell %d: %w", total, ctx.Err())
		}
		if err == nil || c.tagged("raises-exception") {
			continue
		}
		failed++
		if first == nil {
			first = fmt.Errorf("jupyter: cell %d: %w", total, err)
		}
		if !o.AllowErrors {
			break
		}
	}
	r.echo.summary(total, failed, time.Since(start))
	if o.AllowErrors {
		return nil
	}
	return first
}

func (c *NotebookCell) tagged(tag string) bool {
	tags, _ := c.Metadata["tags"].([]any)
	return slices.Contains(tags, any(tag))
}

// A runner is the Sink of all cells of one run.
type runner struct {
	in   Interpreter
	echo *echo

	mu    sync.Mutex
	cell  *NotebookCell // nil when the run is over
	clear bool          // clear_output waits for the next output
	ids   map[string][]map[string]any
}

// run executes one cell. The error is an *Error.
func (r *runner) run(ctx context.Context, c *NotebookCell, count int) error {
	r.mu.Lock()
	r.cell, r.clear = c, false
	c.Count, c.Outputs = count, nil
	r.mu.Unlock()
	r.echo.source(c)
	d := NewDisplay(&cellSink{r, c})
	err := protectError(func() error {
		return r.in.Execute(ctx, Cell{Code: c.Source, Count: count, StoreHistory: true}, d)
	})
	d.finish()
	for _, p := range d.Payloads() {
		r.echo.payload(p)
	}
	if err == nil {
		return nil
	}
	e := asError(err)
	traceback := make([]any, len(e.Traceback))
	for i, line := range e.Traceback {
		traceback[i] = line
	}
	r.add(c, map[string]any{"output_type": "error", "ename": e.Name, "evalue": e.Value, "traceback": traceback})
	r.echo.failure(e)
	return e
}

// end makes what the cells left running unable to change the notebook.
func (r *runner) end() {
	r.mu.Lock()
	r.cell = nil
	r.mu.Unlock()
}

// A cellSink writes the messages of a cell's Display into its outputs.
type cellSink struct {
	*runner
	c *NotebookCell
}

func (s *cellSink) Send(msgType string, content map[string]any) {
	s.echo.output(msgType, content)
	out := map[string]any{"output_type": msgType}
	switch msgType {
	case "stream":
		out["name"], out["text"] = content["name"], content["text"]
	case "display_data", "execute_result":
		data, err := plainJSON(content["data"])
		if err != nil {
			s.Send("stream", map[string]any{"name": "stderr", "text": fmt.Sprintf("%s: %v\n", msgType, err)})
			return
		}
		out["data"], out["metadata"] = data, content["metadata"]
		if msgType == "execute_result" {
			out["execution_count"] = s.c.Count
		}
	case "update_display_data":
		s.update(content)
		return
	case "clear_output":
		s.clearOutput(content["wait"] == true)
		return
	default:
		return
	}
	s.add(s.c, out)
	if id := displayID(content); id != "" {
		s.mu.Lock()
		s.ids[id] = append(s.ids[id], out)
		s.mu.Unlock()
	}
}

func displayID(content map[string]any) string {
	transient, _ := content["transient"].(map[string]any)
	id, _ := transient["display_id"].(string)
	return id
}

// add appends an output; text of a stream joins text of the same stream.
func (r *runner) add(c *NotebookCell, out map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cell == nil {
		return
	}
	if r.clear {
		c.Outputs, r.clear = nil, false
	}
	if n := len(c.Outputs); n > 0 && out["output_type"] == "stream" {
		last := c.Outputs[n-1]
		if last["output_type"] == "stream" && last["name"] == out["name"] {
			last["text"] = last["text"].(string) + out["text"].(string)
			return
		}
	}
	c.Outputs = append(c.Outputs, out)
}

func (r *runner) update(content map[string]any) {
	data, err := plainJSON(content["data"])
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cell == nil {
		return
	}
	for _, out := range r.ids[displayID(content)] {
		out["data"], out["metadata"] = data, content["metadata"]
	}
}

func (s *cellSink) clearOutput(wait bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait {
		s.clear = true
	} else if s.cell != nil {
		s.c.Outputs = nil
	}
}
