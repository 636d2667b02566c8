package jupyter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/llcuda/llcuda/jupyter"
)

// race says that the race detector is on, which takes memory.
var race bool

// The test binary is a kernel when it is called as one: `jupyter.test kernel
// CONNECTION_FILE`. So the suites of Jupyter's own clients run against it.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "kernel" {
		if err := jupyter.Serve(context.Background(), os.Args[2], echo{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// echo is an Interpreter that does what a line says: `print TEXT`, `show TEXT`,
// `result TEXT`, `fail TEXT` and so on.
type echo struct{}

var echoWords = []string{"clear", "eprint", "fail", "input", "lines", "next", "page", "panic", "password", "print", "result", "show", "sleep", "spin", "update"}

func (echo) Info() jupyter.Info {
	return jupyter.Info{
		Implementation: "echo", Version: "1.0", Banner: "an echo",
		Language:  jupyter.Language{Name: "echo", Version: "1.0", MIMEType: "text/plain", FileExtension: ".txt"},
		HelpLinks: []jupyter.HelpLink{{Text: "llcuda", URL: "https://github.com/llcuda/llcuda"}},
	}
}

func (echo) Execute(ctx context.Context, c jupyter.Cell, d *jupyter.Display) error {
	for line := range strings.Lines(c.Code) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if err := echoLine(ctx, d, word, rest); err != nil {
			return err
		}
	}
	return nil
}

func echoLine(ctx context.Context, d *jupyter.Display, word, rest string) error {
	n, _ := strconv.Atoi(rest)
	text := jupyter.Bundle{"text/plain": rest}
	switch word {
	case "print":
		fmt.Fprintln(d.Stdout(), rest)
	case "eprint":
		fmt.Fprintln(d.Stderr(), rest)
	case "lines":
		for i := range n {
			fmt.Fprintf(d.Stdout(), "line %d\n", i)
		}
	case "blob": // MiB
		for range n * 16 {
			d.Stdout().Write([]byte(strings.Repeat("0123456789abcdef", 4096)))
		}
	case "show":
		d.Show(jupyter.Bundle{"text/plain": rest, "text/html": "<b>" + rest + "</b>", "image/png": []byte("\x89PNG")})
	case "result":
		d.Result(text)
	case "update":
		d.ShowID("id-"+rest, jupyter.Bundle{"text/plain": "before"})
		d.Update("id-"+rest, text)
	case "clear":
		d.Clear(rest == "wait")
	case "page":
		d.Page(text)
	case "next":
		d.SetNextInput(rest, false)
	case "fail":
		return &jupyter.Error{Name: "Fail", Value: rest, Traceback: []string{"Fail: " + rest}}
	case "oops":
		return errors.New(rest)
	case "panic":
		panic(rest)
	case "bad": // no JSON
		d.Show(jupyter.Bundle{"application/json": func() {}})
	case "sleep":
		select {
		case <-time.After(time.Duration(n) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	case "spin":
		for ctx.Err() == nil {
		}
		return ctx.Err()
	case "stuck": // does not look at ctx
		time.Sleep(time.Duration(n) * time.Millisecond)
	case "input", "password":
		s, err := d.Input(ctx, rest, word == "password")
		if err != nil {
			return err
		}
		fmt.Fprintln(d.Stdout(), "got", s)
	}
	return nil
}

func (echo) Eval(_ context.Context, expr string) (jupyter.Bundle, error) {
	switch expr {
	case "fail":
		return nil, errors.New("no value")
	case "panic":
		panic("no value")
	}
	return jupyter.Bundle{"text/plain": expr}, nil
}

func (echo) Complete(_ context.Context, code string, cursor int) jupyter.Completion {
	prefix := string([]rune(code)[:cursor])
	if prefix == "panic!" {
		panic(prefix)
	}
	c := jupyter.Completion{End: cursor}
	for _, w := range echoWords {
		if strings.HasPrefix(w, prefix) {
			c.Matches = append(c.Matches, w)
			c.Types = append(c.Types, "word")
		}
	}
	return c
}

func (echo) Inspect(_ context.Context, code string, _, _ int) jupyter.Bundle {
	for _, w := range echoWords {
		if w == code {
			return jupyter.Bundle{"text/plain": w + " TEXT"}
		}
	}
	return nil
}

func (echo) IsComplete(code string) jupyter.Completeness {
	switch {
	case strings.HasSuffix(code, "\\"):
		return jupyter.Completeness{Status: jupyter.Incomplete, Indent: "  "}
	case strings.HasPrefix(code, "?"):
		return jupyter.Completeness{Status: jupyter.Invalid}
	}
	return jupyter.Completeness{Status: jupyter.Complete}
}

func (echo) CommTargets() map[string]jupyter.CommTarget {
	return map[string]jupyter.CommTarget{
		"echo": func(c *jupyter.Comm, data map[string]any) error {
			c.OnMessage = func(data map[string]any, buffers [][]byte) { c.Send(data, buffers...) }
			return c.Send(data)
		},
		"refuse": func(*jupyter.Comm, map[string]any) error { return errors.New("not today") },
	}
}
