// Package magics says what cells mean: it is the jupyter.Interpreter of
// llcuda. A cell holds line magics (%name args), or one cell magic (%%name on
// its first line), shell commands (!cmd) and requests for help (name?).
//
// A Magic describes one command completely, in a file of its own. An
// Interpreter holds what cells share: variables, tensors, loaded models.
// Package expr is the language of %tensor.
package magics

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/nvml"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics/expr"
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu"
)

// Options say what an Interpreter works with. The zero value computes on the
// CPU, shows the machine's own cards in %gpu, and has no embedded model.
type Options struct {
	Version     string
	Devices     []tensor.Device                 // of the host; none: the CPU
	Cards       func() ([]tensor.Device, error) // opens the machine's cards, at their first use, for us to close; nil: none
	Demo        func() (*gguf.File, error)      // opens the embedded model
	GPU         func() ([]nvml.Card, error)     // nil: nvml.Cards
	LoadOptions func(o *engine.Options)         // nil, or changes how models are loaded
}

// An Interpreter executes cells. Execute and Eval are called one at a time;
// Complete, Inspect and IsComplete at any time.
type Interpreter struct {
	o       Options
	devices devices
	vars    *expr.Vars
	env     *expr.Env
	models  models
	talk    conversation // of %chat

	embedded map[string]*embedded // by the variable with the vectors

	formerFolder string // of %cd -
}

// New returns an Interpreter without variables and models. Close it.
func New(o Options) *Interpreter {
	if len(o.Devices) == 0 {
		o.Devices = []tensor.Device{cpu.Default()}
	}
	if o.GPU == nil {
		o.GPU = nvml.Cards
	}
	vars := expr.NewVars()
	in := &Interpreter{o: o, vars: vars, env: expr.NewEnv(vars, o.Devices...), embedded: map[string]*embedded{}}
	in.devices.host, in.devices.open = o.Devices, o.Cards
	return in
}

// Close frees models and tensors, and closes the cards.
func (in *Interpreter) Close() error {
	in.vars.Clear()
	in.env.Sweep()
	return errors.Join(in.models.closeAll(), in.devices.close())
}

// Info describes the kernel.
func (in *Interpreter) Info() jupyter.Info {
	version := in.o.Version
	if version == "" {
		version = "dev"
	}
	return jupyter.Info{
		Implementation: "llcuda",
		Version:        version,
		Banner:         "llcuda " + version + ": LLM inference in the notebook. %load demo, then %infer What is AI?; %help lists the commands.",
		Language: jupyter.Language{Name: "llcuda", Version: version, MIMEType: "text/x-llcuda", FileExtension: ".llcuda",
			PygmentsLexer: "text"},
		HelpLinks: []jupyter.HelpLink{{Text: "llcuda", URL: "https://github.com/llcuda/llcuda"}},
	}
}

// Execute runs the steps of a cell in order and stops at the first that fails.
func (in *Interpreter) Execute(ctx context.Context, c jupyter.Cell, d *jupyter.Display) error {
	return in.execute(ctx, c, d, true)
}

// execute runs a cell, or the part of one that is inside another: last says
// that nothing follows it.
func (in *Interpreter) execute(ctx context.Context, c jupyter.Cell, d *jupyter.Display, last bool) error {
	steps := parseCell(c.Code)
	for _, s := range steps {
		if s.kind == stepGo {
			return shown(ctx, goError(s), s, false)
		}
	}
	for i, s := range steps {
		err := ctx.Err()
		if err == nil {
			err = in.step(ctx, s, c, d, last && i == len(steps)-1)
		}
		if err != nil {
			return shown(ctx, err, s, len(steps) > 1)
		}
	}
	return nil
}

func (in *Interpreter) step(ctx context.Context, s step, c jupyter.Cell, d *jupyter.Display, last bool) error {
	switch s.kind {
	case stepShell:
		return shell(ctx, s.args, d.Stdout(), d.Stderr())
	case stepHelp:
		return in.help(s, d)
	}
	m := registry[s.name]
	if m == nil {
		return unknownMagic(s)
	}
	call := &Call{Interpreter: in, Magic: m, Flags: m.flagSet(), Body: s.body, Cell: s.cell, Last: last, Display: d, cell: c}
	switch {
	case s.late:
		return call.usage("it takes a whole cell: put it on the first line of one")
	case s.cell && !m.Cell:
		return call.usage("there is no %%%%%s; write it as a line, %%%s", m.Name, m.Name)
	case !s.cell && !m.Line:
		return call.usage("it takes the whole cell: write %%%%%s on the first line", m.Name)
	}
	if err := call.parse(s.args); err != nil {
		return err
	}
	return m.Run(ctx, call)
}

func unknownMagic(s step) error {
	var known []string
	for id := range registry {
		known = append(known, id)
	}
	hint := "%lsmagic lists them all"
	if _, err := exec.LookPath(s.name); err == nil && !s.cell { // IPython has %pip, %ls, %cat
		hint = "did you mean !" + s.name + "?"
	} else if best := expr.Closest(s.name, known); best != "" {
		hint = "did you mean %" + best + "?"
	}
	sign := "%"
	if s.cell {
		sign = "%%"
	}
	return &jupyter.Error{Name: "UnknownMagic", Value: fmt.Sprintf("no magic %s%s; %s", sign, s.name, hint)}
}

// goError refuses code: it says which line it is and what works instead.
func goError(s step) error {
	first := s.text
	if n := strings.IndexByte(first, '\n'); n >= 0 {
		first = first[:n]
	}
	if r := []rune(first); len(r) > 60 {
		first = string(r[:59]) + "…"
	}
	word, _, _ := strings.Cut(first, " ")
	hint := "%tensor computes, !go run file.go runs Go programs, %help lists the commands"
	if registry[word] != nil {
		hint = "did you mean %" + first + "?"
	}
	return &jupyter.Error{Name: "GoError", Value: fmt.Sprintf("line %d: %s: Go in cells comes with a later version; %s", s.line+1, first, hint)}
}

// shown makes err what the front end shows: named, and with the line of a cell
// that has several.
func shown(ctx context.Context, err error, s step, several bool) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = &jupyter.Error{Name: "KeyboardInterrupt", Value: "interrupted"}
	}
	var e *jupyter.Error
	if !errors.As(err, &e) {
		e = &jupyter.Error{Name: "Error", Value: err.Error()}
	}
	if len(e.Traceback) == 0 {
		e = &jupyter.Error{Name: e.Name, Value: e.Value, Traceback: []string{e.Error()}}
	}
	if several && !strings.HasPrefix(e.Traceback[0], "line ") {
		first, _, _ := strings.Cut(s.text, "\n")
		e.Traceback = slices.Insert(slices.Clone(e.Traceback), 0, fmt.Sprintf("line %d: %s", s.line+1, first))
	}
	return e
}

// IsComplete says whether Enter runs the code. A cell magic goes on until an
// empty line; a line that ends in a backslash goes on.
func (in *Interpreter) IsComplete(code string) jupyter.Completeness {
	trimmed := strings.TrimRight(code, " \t")
	if strings.HasSuffix(trimmed, `\`) {
		return jupyter.Completeness{Status: jupyter.Incomplete}
	}
	steps := parseCell(code)
	if len(steps) == 1 && steps[0].cell {
		body := strings.TrimRight(steps[0].body, " \t")
		if m := registry[steps[0].name]; m != nil && m.Cell && body == "" || body != "" && !strings.HasSuffix(code, "\n") {
			return jupyter.Completeness{Status: jupyter.Incomplete}
		}
		return jupyter.Completeness{Status: jupyter.Complete}
	}
	for _, s := range steps {
		if s.kind == stepMagic && s.name == "tensor" {
			if _, err := expr.Parse(s.args); err != nil {
				return jupyter.Completeness{Status: jupyter.Invalid}
			}
		}
	}
	return jupyter.Completeness{Status: jupyter.Complete}
}

// Eval evaluates a user expression: a variable or an expression of %tensor.
func (in *Interpreter) Eval(ctx context.Context, code string) (jupyter.Bundle, error) {
	code = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(code), "%tensor "))
	in.env.Devices = in.devices.all()
	v, err := in.env.Eval(ctx, code)
	if err != nil {
		return nil, tensorError(err, "", 0)
	}
	defer in.env.Sweep()
	return in.bundle(v)
}
