package magics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/remote"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/jupyter"
)

func batchFlags(f *pflag.FlagSet) {
	f.String("batch", "", "answer the lines of this JSONL `file`, each {\"prompt\": …} or {\"messages\": …}")
	f.String("output", "", "with --batch: the `file` for the answers; what it has already is not asked again")
	f.Int("parallel", 0, "with --batch: so many `lines` at once (default: 8, or 32 for each server)")
}

// A batch is %infer --batch: the lines of a file, answered several at once.
// Each answer is written when it has come; at the end they are in order.
type batch struct {
	c        *Call
	l        *loaded
	lines    []batchLine
	todo     []batchLine
	parallel int
	who      batchAnswerer
	out      *answerFile
	bar      progressBar

	answered, failed  int // now
	prompted, written int // tokens
	uncounted         bool
	inRow             int // failures on end that are not the lines' own
	start, said       time.Time
}

// A batchAnswerer answers lines, from many goroutines.
type batchAnswerer interface {
	answer(ctx context.Context, line *batchLine) (batchRecord, error)
	close() error
}

func runBatch(ctx context.Context, c *Call) error {
	in, _ := c.Flags.GetString("batch")
	out, _ := c.Flags.GetString("output")
	parallel, _ := c.Flags.GetInt("parallel")
	var q inference
	switch err := q.readFlags(c); {
	case err != nil:
		return err
	case in == "":
		return c.usage("--output and --parallel go with --batch FILE")
	case out == "":
		return c.usage("--output FILE is missing: where do the answers go?")
	case len(c.Args) > 0 || strings.TrimSpace(c.Body) != "":
		return c.usage("--batch has the prompts; leave the text out")
	case q.toVar != "":
		return c.usage("--var does not go with --batch: the answers are in %s", out)
	case c.Flags.Changed("parallel") && (parallel < 1 || parallel > 1024):
		return c.usage("--parallel %d: want 1 to 1024", parallel)
	}
	name, _ := c.Flags.GetString("model")
	l, err := c.models.findAny(name)
	if err != nil {
		return err
	}
	b := &batch{c: c, l: l, parallel: parallel, bar: progressBar{d: c.Display}}
	if b.lines, err = readBatch(catalog.InHome(in)); err != nil {
		return fileError(err)
	}
	if b.out, err = openAnswers(catalog.InHome(out), catalog.InHome(in), b.lines); err != nil {
		return fileError(err)
	}
	for _, line := range b.lines {
		if !b.out.done(line.number) {
			b.todo = append(b.todo, line)
		}
	}
	err = b.run(ctx, &q)
	if err2 := b.out.close(); err2 != nil {
		err = errors.Join(err, fileError(err2))
	}
	if b.who != nil || len(b.todo) == 0 {
		b.report(ctx, q.json)
	}
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case b.failed > 0:
		return modelError("%s of %d failed: \"error\" in %s says why; the same command tries them again", count(b.failed, "line"), len(b.lines), out)
	}
	return nil
}

func fileError(err error) error { return &jupyter.Error{Name: "FileError", Value: err.Error()} }

// run answers what is to do, until it is done, ctx ends, or nothing succeeds
// any more.
func (b *batch) run(ctx context.Context, q *inference) (err error) {
	b.start = time.Now()
	b.said = b.start
	if len(b.todo) == 0 {
		return nil
	}
	if b.who, err = b.l.batchAnswerer(b, q); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.who.close()) }()
	b.bar.what, b.bar.off = filepath.Base(b.out.path), q.json || !b.c.Display.Interactive()
	b.bar.count, b.bar.more = func(n int64) string { return count(int(n), "line") }, b.pace
	b.bar.begin()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := b.ask(ctx)
	tick := time.NewTicker(progressPeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.progress()
		case r, more := <-results:
			if !more {
				return err
			}
			if e := b.take(r); e != nil && err == nil {
				err = e
				cancel()
			}
			b.progress()
		}
	}
}

// A batchResult is what came of a line.
type batchResult struct {
	line *batchLine
	r    batchRecord
	err  error
}

// ask has the lines answered and delivers what comes of them, but for those
// that the end of ctx stops.
func (b *batch) ask(ctx context.Context) <-chan batchResult {
	jobs, results := make(chan *batchLine), make(chan batchResult)
	go func() {
		defer close(jobs)
		for i := range b.todo {
			select {
			case jobs <- &b.todo[i]:
			case <-ctx.Done():
				return
			}
		}
	}()
	var workers sync.WaitGroup
	for range min(b.parallel, len(b.todo)) {
		workers.Go(func() {
			for line := range jobs {
				start := time.Now()
				r, err := b.answer(ctx, line)
				if err != nil && ctx.Err() != nil {
					return
				}
				r.Seconds = time.Since(start).Seconds()
				results <- batchResult{line, r, err}
			}
		})
	}
	go func() {
		workers.Wait()
		close(results)
	}()
	return results
}

// answer asks again for an answer that was cut off: nobody has seen it.
func (b *batch) answer(ctx context.Context, line *batchLine) (r batchRecord, err error) {
	if line.err != nil {
		return r, line.err
	}
	for range 3 {
		r, err = b.who.answer(ctx, line)
		if cut := (*remote.CutError)(nil); !errors.As(err, &cut) || ctx.Err() != nil {
			break
		}
	}
	return r, err
}

// take writes and counts a result. Its error is that of the whole batch.
func (b *batch) take(x batchResult) error {
	r := &x.r
	r.Line, r.Sum, r.ID = x.line.number, x.line.sum, x.line.id
	if x.err != nil {
		*r = batchRecord{Line: r.Line, Sum: r.Sum, ID: r.ID, Error: strings.TrimPrefix(x.err.Error(), "remote: "), Seconds: r.Seconds}
	}
	if err := b.out.add(r); err != nil {
		return fileError(err)
	}
	if x.err == nil {
		b.answered++
		b.inRow = 0
		b.prompted += r.PromptTokens
		b.written += r.NewTokens + r.Pieces
		b.uncounted = b.uncounted || r.Pieces > 0
		return nil
	}
	const told = 5
	if b.failed++; b.failed <= told {
		fmt.Fprintf(b.c.Display.Stderr(), "line %d: %s\n", r.Line, r.Error)
	} else if b.failed == told+1 {
		fmt.Fprintf(b.c.Display.Stderr(), "further errors are in %s\n", b.out.path)
	}
	if ownMistake(x.err) {
		return nil
	}
	var api *remote.APIError
	if b.inRow++; b.inRow < max(10, b.parallel) && !(errors.As(x.err, &api) && (api.Status == http.StatusUnauthorized || api.Status == http.StatusForbidden)) {
		return nil
	}
	hint := ""
	if b.l.endpoint != nil {
		hint = serverHint(x.err)
	}
	return modelError("%s: %s failed on end, the last one by: %s%s; when that is set right, the same command goes on from here",
		b.l.name, count(b.inRow, "line"), r.Error, hint)
}

// ownMistake reports whether an error says nothing about other lines.
func ownMistake(err error) bool {
	var line *lineError
	var wrong *chat.Error
	var refused *chat.RefusedError
	var api *remote.APIError
	return errors.As(err, &line) || errors.As(err, &wrong) || errors.As(err, &refused) || errors.Is(err, engine.ErrContextFull) ||
		errors.As(err, &api) && (api.Status == http.StatusBadRequest || api.Status == http.StatusRequestEntityTooLarge || api.Status == http.StatusUnprocessableEntity)
}

// progress shows how far it is: a bar for who sees it change, else a line now
// and then.
func (b *batch) progress() {
	done := b.answered + b.failed
	if !b.bar.off {
		b.bar.update(int64(done), int64(len(b.todo)))
		return
	}
	if time.Since(b.said) > 10*time.Second {
		b.said = time.Now()
		fmt.Fprintf(b.c.Display.Stderr(), "%d of %s%s\n", done, count(len(b.todo), "line"), b.pace())
	}
}

// pace is the speed and the time left, behind a comma.
func (b *batch) pace() string {
	text, done, took := "", b.answered+b.failed, time.Since(b.start)
	if b.failed > 0 {
		text += fmt.Sprintf(", %d failed", b.failed)
	}
	if b.written > 0 {
		text += fmt.Sprintf(", %.1f %ss/s", float64(b.written)/took.Seconds(), b.unit())
	}
	if done > 0 && done < len(b.todo) {
		left := time.Duration(float64(took) / float64(done) * float64(len(b.todo)-done))
		text += ", " + left.Round(time.Second).String() + " left"
	}
	return text
}

func (b *batch) unit() string {
	if b.uncounted {
		return "piece"
	}
	return "token"
}

// report is the summary.
func (b *batch) report(ctx context.Context, asJSON bool) {
	took := time.Since(b.start)
	before := len(b.lines) - len(b.todo)
	open := len(b.todo) - b.answered - b.failed
	if asJSON {
		b.bar.failed()
		v := map[string]any{"model": b.l.name, "output": b.out.path, "lines": len(b.lines), "answered": b.answered,
			"failed": b.failed, "before": before, "open": open, "prompt_tokens": b.prompted, "new_tokens": b.written, "seconds": took.Seconds()}
		if b.uncounted {
			delete(v, "prompt_tokens")
			delete(v, "new_tokens")
			v["pieces"] = b.written
		}
		_ = printJSON(b.c, v)
		return
	}
	parts := []string{fmt.Sprintf("%d of %s answered", b.answered+before, count(len(b.lines), "line"))}
	if before > 0 {
		parts[0] += fmt.Sprintf(", %d of them before", before)
	}
	if b.failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", b.failed))
	}
	if open > 0 {
		parts = append(parts, fmt.Sprintf("%d open", open))
	}
	if b.answered > 0 {
		parts = append(parts, fmt.Sprintf("%.1f %ss/s", float64(b.written)/took.Seconds(), b.unit()))
		if b.prompted > 0 { // a server may count none
			parts = append(parts, count(b.prompted, "prompt token"))
		}
		parts = append(parts, count(b.written, "new "+b.unit()), fmt.Sprintf("%d at once", min(b.parallel, len(b.todo))), secondsText(took))
	}
	if ctx.Err() != nil {
		parts = append(parts, "interrupted: the same command goes on from here")
	}
	b.bar.done(b.out.path + ": " + strings.Join(parts, " · "))
}
