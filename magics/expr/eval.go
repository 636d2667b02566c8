// Package expr is the language of %tensor: expressions on the notebook's
// variables, computed by tensor devices. It reads like PyTorch: A @ B,
// A[:, 0], A.sum(dim=0), randn(2, 3, dtype=f16), with PyTorch's rules for
// types, broadcasting and printing. GGUF's quantised formats are types like
// all others: q4_k(A) converts.
//
// Parse makes a Program of a source, an Env runs it. All values are immutable;
// an Env frees memory that no variable leads to.
package expr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/tensor"
)

// An Env is where programs run. One goroutine uses it.
type Env struct {
	Vars    *Vars
	Devices []tensor.Device // the first is where new tensors go

	live    []*tensor.Tensor // what New allocated and nobody freed yet
	streams map[tensor.Device]*tensor.Stream
	rng     *rand.Rand
}

// NewEnv returns an Env whose tensors are on the first device unless told
// otherwise.
func NewEnv(vars *Vars, devices ...tensor.Device) *Env {
	return &Env{Vars: vars, Devices: devices, streams: map[tensor.Device]*tensor.Stream{},
		rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
}

// Run executes the statements of p in order, and stops at the first error: an
// *Error, which wraps ctx's error after an interrupt. show gets the value of
// each statement that is an expression, a string of print, a Listing of list;
// last says that no statement follows, result that it is an expression.
func (e *Env) Run(ctx context.Context, p *Program, show func(v Value, result, last bool) error) error {
	r := &run{Env: e, ctx: ctx, src: p.src}
	defer e.Sweep()
	for i, s := range p.stmts {
		if err := r.statement(s, i == len(p.stmts)-1, show); err != nil {
			r.sync() // or the streams would tell this error again
			return err
		}
		e.Sweep()
	}
	return nil
}

// Eval evaluates one expression. The value is good until the next Run or
// Sweep, unless a variable holds it.
func (e *Env) Eval(ctx context.Context, src string) (Value, error) {
	p, err := Parse(src)
	if err != nil {
		return nil, err
	}
	if len(p.stmts) != 1 || p.stmts[0].kind != stmtExpr {
		return nil, errorAt(src, 0, "%q is not one expression", src)
	}
	r := &run{Env: e, ctx: ctx, src: src}
	v, err := r.eval(p.stmts[0].x)
	late := r.sync() // clears the streams' errors, too
	if err == nil {
		err = r.wrap(late, p.stmts[0].x)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Sweep frees the memory of tensors that no variable leads to.
func (e *Env) Sweep() {
	used := map[*tensor.Tensor]bool{}
	var mark func(v Value)
	mark = func(v Value) {
		switch v := v.(type) {
		case *Array:
			used[v.base] = true
		case List:
			for _, x := range v.Items {
				mark(x)
			}
		}
	}
	e.Vars.mu.RLock()
	for _, v := range e.Vars.m {
		mark(v)
	}
	e.Vars.mu.RUnlock()
	e.live = slices.DeleteFunc(e.live, func(t *tensor.Tensor) bool {
		if !used[t] {
			t.Device.Free(t)
		}
		return !used[t]
	})
}

// Leave deletes the variables that lead to tensors on dev, and forgets dev.
func (e *Env) Leave(dev tensor.Device) (deleted []string) {
	var leads func(v Value) bool
	leads = func(v Value) bool {
		switch v := v.(type) {
		case *Array:
			return v.Device() == dev
		case List:
			return slices.ContainsFunc(v.Items, leads)
		}
		return false
	}
	for _, id := range e.Vars.Names() {
		if v, _ := e.Vars.Get(id); leads(v) {
			e.Vars.Delete(id)
			deleted = append(deleted, id)
		}
	}
	e.Sweep()
	delete(e.streams, dev)
	e.Devices = slices.DeleteFunc(slices.Clone(e.Devices), func(d tensor.Device) bool { return d == dev })
	return deleted
}

// Bytes is how much memory on dev the Env's tensors hold.
func (e *Env) Bytes(dev tensor.Device) (n int64) {
	for _, t := range e.live {
		if t.Device == dev {
			n += int64(t.Bytes())
		}
	}
	return n
}

// run is one execution of a program.
type run struct {
	*Env
	ctx context.Context
	src string
}

func (r *run) statement(s stmt, last bool, show func(v Value, result, last bool) error) error {
	switch s.kind {
	case stmtDel:
		for _, n := range s.names {
			if !r.Vars.Delete(n.id) {
				return r.unknown(n, r.Vars.Names())
			}
		}
	case stmtList:
		return r.wrap(show(r.list(), false, last), s)
	case stmtPrint:
		var parts []string
		for _, x := range s.xs {
			v, err := r.eval(x)
			if err != nil {
				return err
			}
			if str, ok := v.(string); ok {
				parts = append(parts, str)
				continue
			}
			text, err := r.Text(v)
			if err != nil {
				return r.wrap(err, x)
			}
			parts = append(parts, text)
		}
		return r.wrap(show(strings.Join(parts, " ")+"\n", false, last), s)
	case stmtAssign:
		v, err := r.eval(s.x)
		if err != nil {
			return err
		}
		if d := r.device(s.name); d != nil {
			return errorAt(r.src, s.at(), "%s is a device; choose another name", s.name)
		}
		if err := cmp.Or(r.sync(), r.ctx.Err()); err != nil {
			return r.wrap(err, s.x)
		}
		r.Vars.Set(s.name, v)
	default:
		v, err := r.eval(s.x)
		if err == nil && v != nil {
			err = r.wrap(show(v, true, last), s.x)
		}
		return err
	}
	return nil
}

// wrap gives err the place of n, unless it has one.
func (r *run) wrap(err error, n node) error {
	var placed *Error
	if err == nil || errors.As(err, &placed) {
		return err
	}
	e := errorAt(r.src, n.at(), "%s", strings.TrimPrefix(err.Error(), "tensor: "))
	e.Err = err
	return e
}

func (r *run) eval(n node) (Value, error) {
	v, err := r.value(n)
	return v, r.wrap(err, n)
}

func (r *run) value(n node) (Value, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case *literal:
		return n.value, nil
	case *name:
		return r.name(*n)
	case *list:
		items, err := r.evalAll(n.items)
		return List{items, n.tuple}, err
	case *unary:
		x, err := r.eval(n.x)
		if err != nil || n.op == "+" {
			return x, err
		}
		return r.negate(x)
	case *operation:
		x, err := r.eval(n.x)
		if err != nil {
			return nil, err
		}
		y, err := r.eval(n.y)
		if err != nil {
			return nil, err
		}
		return r.binary(n.op, x, y)
	case *attr:
		return r.attr(n)
	case *index:
		return r.index(n)
	case *call:
		return r.call(n)
	}
	panic(fmt.Sprintf("expr: node %T", n))
}

func (r *run) evalAll(nodes []node) ([]Value, error) {
	vs := make([]Value, len(nodes))
	for i, n := range nodes {
		v, err := r.eval(n)
		if err != nil {
			return nil, err
		}
		vs[i] = v
	}
	return vs, nil
}

// name resolves a variable, a type, a device or a constant, in that order.
func (r *run) name(n name) (Value, error) {
	if v, ok := r.Vars.Get(n.id); ok {
		return v, nil
	}
	if d, err := tensor.ParseDType(n.id); err == nil {
		return d, nil
	}
	if d := r.device(n.id); d != nil {
		return d, nil
	}
	if v, ok := constants[n.id]; ok {
		return v, nil
	}
	if isCard(n.id) {
		return nil, r.noDevice(n.id)
	}
	if f := functions[n.id]; f != nil {
		return nil, errorAt(r.src, n.at(), "%s is a function: %s", n.id, f.Usage)
	}
	known := r.Vars.Names()
	for f := range functions {
		known = append(known, f)
	}
	return nil, r.unknown(n, known)
}

func (r *run) unknown(n name, known []string) error {
	hint := "%tensor list shows what there is"
	if c := Closest(n.id, known); c != "" {
		hint = "did you mean " + c + "?"
	}
	return errorAt(r.src, n.at(), "no variable %s; %s", n.id, hint)
}

// device finds a device by its name; "cuda" and "gpu" are the first card.
func (r *run) device(id string) tensor.Device {
	for _, d := range r.Devices {
		first, _, card := strings.Cut(d.Name(), ":")
		if d.Name() == id || card && (first == id || id == "gpu") {
			return d
		}
	}
	return nil
}

// isCard says whether id names a GPU, here or not.
func isCard(id string) bool {
	id, _, _ = strings.Cut(id, ":")
	return id == "cuda" || id == "gpu"
}

func (r *run) noDevice(id string) error {
	return fmt.Errorf("no device %s here, only %s; %%gpu says why", id, r.deviceNames())
}

func (r *run) stream(d tensor.Device) *tensor.Stream {
	s := r.streams[d]
	if s == nil {
		s = tensor.NewStream(d)
		r.streams[d] = s
	}
	return s
}

// sync waits for the devices and returns the first error of their operations.
func (r *run) sync() error {
	var errs []error
	for _, s := range r.streams {
		errs = append(errs, s.Sync())
	}
	return errors.Join(errs...)
}
