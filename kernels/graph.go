package kernels

import (
	"errors"
	"fmt"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/tensor"
)

// Compile makes a program of ops that one call issues: a CUDA graph of their
// launches, in which one persistent kernel does what fuse understands, or of
// several texts larger kernels what gather does.
func (d *Device) Compile(ops []tensor.Op) (tensor.Program, error) {
	if err := d.enter("compile"); err != nil {
		return nil, err
	}
	defer d.leave()
	for i := range ops {
		written := []*tensor.Tensor{ops[i].Dst}
		if ops[i].Kind == tensor.OpTopK {
			written = append(written, ops[i].B)
		}
		for _, t := range written {
			if a := d.find(ptr(t)); a != nil {
				d.varies(a)
			}
		}
	}
	g := &graph{dev: d, ops: ops}
	if err := g.fuse(); err != nil && !errors.Is(err, tensor.ErrNoMemory) { // without room it stays plain
		return nil, d.wrap("compile", err)
	}
	err := g.capture()
	if err != nil && g.step != nil && d.failed == nil { // a card that does not hold the persistent kernel
		err = errors.Join(g.drop(), g.step.free())
		g = &graph{dev: d, ops: ops}
		if err == nil {
			err = g.capture()
		}
	}
	if err != nil {
		return nil, errors.Join(err, g.drop())
	}
	return g, nil
}

// A graph is a recorded step as a CUDA graph. It has the addresses of scratch
// memory in it: when that has moved since (another program or operation needed
// more), Run captures the step anew.
type graph struct {
	dev        *Device
	ops        []tensor.Op // before the fused ones, or all
	bunches    []bunch     // all, of several texts; or nil
	step       *step       // the fused ones, or nil
	after      []tensor.Op
	exec       cuda.GraphExec
	generation int // of scratch memory and constants, when it was captured
	launches   int // of kernels
	freed      bool
}

// capture records the launches, of several texts in bunches of what is constant
// now. Before that it issues them dry, which loads their modules and sizes their
// scratch memory: neither can be done while the stream records.
func (g *graph) capture() error {
	d := g.dev
	if err := g.drop(); err != nil {
		return d.wrap("compile", err)
	}
	if err := g.gather(); err != nil {
		return err
	}
	d.dry = true
	err := g.issue()
	d.dry = false
	if err != nil {
		return err
	}
	g.generation = d.generation
	if err := d.drv.StreamBeginCapture(d.stream); err != nil {
		return d.wrap("compile", err)
	}
	d.input = converted{}
	d.chaining = d.dependent
	g.launches = -d.launches
	err = g.issue()
	g.launches += d.launches
	d.chaining, d.chained = false, false
	d.input = converted{}
	record, e := d.drv.StreamEndCapture(d.stream)
	if e == nil && g.generation != d.generation {
		e = errors.New("internal error: scratch memory moved while launches were recorded")
	}
	if e == nil && err == nil {
		g.exec, e = d.drv.GraphInstantiate(record)
	}
	if record != 0 {
		e = errors.Join(e, d.drv.GraphDestroy(record))
	}
	if err != nil {
		return err
	}
	if e == nil {
		e = d.drv.GraphUpload(g.exec, d.stream)
	}
	if e != nil {
		return d.wrap("compile", e)
	}
	return nil
}

func (g *graph) issue() error {
	if g.bunches != nil {
		for i := range g.bunches {
			if err := g.bunches[i].issue(g.dev); err != nil {
				return err
			}
		}
		return nil
	}
	if err := g.dev.doAll(g.ops); err != nil {
		return err
	}
	if g.step != nil {
		if err := g.step.launch(); err != nil {
			return g.dev.wrap("compile", err)
		}
	}
	return g.dev.doAll(g.after)
}

// doAll issues operations one after the other, products of one input together.
func (d *Device) doAll(ops []tensor.Op) error {
	for len(ops) > 0 {
		n, err := 0, error(nil)
		if fusing() {
			n, err = d.matVecs(ops)
		}
		if n == 0 && err == nil {
			n, err = 1, d.do(&ops[0])
		}
		if err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// Run issues the step.
func (g *graph) Run() error {
	d := g.dev
	if err := d.enter("run"); err != nil {
		return err
	}
	defer d.leave()
	if g.freed {
		return fmt.Errorf("%s: run of a program that was freed", d.name)
	}
	if g.exec == 0 || g.generation != d.generation { // 0: the last capture failed
		if err := g.capture(); err != nil {
			return err
		}
	}
	if err := d.drv.GraphLaunch(g.exec, d.stream); err != nil {
		return d.wrap("run", err)
	}
	return nil
}

// Free gives back the graph, once the card is done with it.
func (g *graph) Free() {
	if g.dev.enter("free") != nil {
		return
	}
	defer g.dev.leave()
	if !g.freed {
		g.freed, g.ops, g.after, g.bunches = true, nil, nil, nil
		if err := errors.Join(g.drop(), g.step.free()); err != nil {
			_ = g.dev.wrap("free", err) // remembered if it is the card's end
		}
	}
}

func (g *graph) drop() error {
	if g.exec == 0 {
		return nil
	}
	err := g.dev.drv.StreamSynchronize(g.dev.stream)
	if err == nil {
		err = g.dev.drv.GraphExecDestroy(g.exec)
	}
	g.exec = 0
	return err
}
