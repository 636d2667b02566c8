package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/tensor"
)

// arrange decides which layers go where, before anything is placed. A model
// that does not fit is refused with what would.
func (m *Model) arrange(o *Options, weights []weight) error {
	n, batch := m.net, min(o.Batch, m.net.context)
	host, cards := rooms(n, batch, o.Texts, o.Device)[0], rooms(n, batch, o.Texts, o.GPUs...)
	at := func(context, texts int) *costs {
		return newCosts(n, weights, cards, context, o.Batch, texts, m.cacheType)
	}
	c := at(n.context, o.Texts)
	asked := min(o.GPULayers, len(n.layers))
	if len(cards) == 0 {
		asked = 0
	}
	most := -1 // that fit, of those asked for
	if asked <= 0 && len(cards) > 0 {
		asked = len(n.layers)
	}
	for layers := asked; layers >= 0 && most < 0; layers-- {
		if m.parts = c.split(host, cards, layers); m.parts != nil {
			most = layers
		}
	}
	if most == asked || most >= 0 && o.GPULayers <= 0 {
		return nil
	}
	e := c.tooBig(host, cards, asked)
	e.Model, e.Layers, e.texts = m.info.Name, most, o.Texts
	for lo, hi := 0, n.context; hi-lo > max(1, hi/64); {
		if mid := (lo + hi + 1) / 2; at(mid, o.Texts).split(host, cards, asked) != nil {
			lo, e.Context = mid, mid
		} else {
			hi = mid
		}
	}
	e.Texts = largest(o.Texts-1, func(texts int) bool { return at(n.context, texts).split(host, cards, asked) != nil })
	if e.Context > 256 {
		e.Context -= e.Context % 256
	}
	return e
}

// tooBig says what so many layers on cards need, or the others on the host if
// it is they that do not fit. What is free is the devices' own count, and what
// they take beside tensors is scratch, as DeviceUse has it.
func (c *costs) tooBig(host room, cards []room, layers int) *TooBigError {
	last := len(c.n.layers)
	u, where := c.of(onHost, 0, last-layers), []room{host}
	if u.Bytes() <= host.left() && len(cards) > 0 {
		u, where = c.of(onCard, last-layers, last), cards
		for range min(len(cards), layers) - 1 { // each card has its own
			u.Scratch += c.of(onCard, last-layers, last-layers+1).Scratch
		}
	}
	e := &TooBigError{Weights: u.Weights, Cache: u.Cache, Scratch: u.Scratch, asked: layers}
	var names []string
	for _, r := range where {
		names = append(names, r.dev.Name())
		e.Scratch += r.beside
		e.Free += r.free
	}
	e.Device = strings.Join(names, " and ")
	return e
}

// place puts the weights on their devices. A weight of parts on two
// devices, as a tied embedding may be, is there twice. What the host
// computes with is read once before that, so that the file is in memory when
// the first token wants it.
func (m *Model) place(ctx context.Context, weights []weight, progress func(done, total int64)) error {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	type job struct {
		w   *weight
		dev tensor.Device
		dst []**tensor.Tensor
	}
	var jobs []job
	var done, total int64
	for i := range weights {
		w := &weights[i]
		for _, p := range m.parts {
			dst := slices.DeleteFunc(slices.Clone(w.dst), func(dst **tensor.Tensor) bool {
				i := m.net.home(dst)
				return i < p.lo || i >= p.hi
			})
			if len(dst) > 0 {
				jobs = append(jobs, job{w, p.dev, dst})
				total += int64(w.bytes())
			}
		}
	}
	for _, j := range jobs {
		t, err := placeOne(ctx, j.dev, j.w, func(n int) { done += int64(n); progress(done, total) })
		if err != nil {
			return fmt.Errorf("engine: load %s: %w", m.info.Name, err)
		}
		m.placed = append(m.placed, t)
		for _, d := range j.dst {
			*d = t
		}
	}
	for _, p := range m.parts {
		if err := p.dev.Sync(); err != nil {
			return fmt.Errorf("engine: load %s: %w", m.info.Name, err)
		}
	}
	return nil
}

// placeOne puts one weight on a device. A cancelled context ends it between
// two pieces of numbers that are read or made, or before a card gets a tensor.
func placeOne(ctx context.Context, dev tensor.Device, w *weight, more func(n int)) (t *tensor.Tensor, err error) {
	const step = 16 << 20
	host, data := dev.Name() == "cpu", w.data
	if data == nil {
		data = make([]byte, w.bytes())
	}
	rowBytes := len(data) / max(1, tensor.Count(w.shape[:len(w.shape)-1]))
	rows := max(1, step/max(1, rowBytes)) * rowBytes
	for at := 0; (host || w.data == nil) && at < len(data); at += rows {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		part := data[at:min(len(data), at+rows)]
		if w.data == nil {
			err = w.from.Read(part, w.row+at/rowBytes)
		} else {
			err = gguf.Guard(func() error { runtime.KeepAlive(touch(part)); return nil })
		}
		if err != nil {
			return nil, err
		}
		if host {
			more(len(part))
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	err = gguf.Guard(func() error {
		t, err = dev.Place(w.name, w.dtype, w.shape, data)
		return err
	})
	if err == nil && !host {
		more(len(data))
	}
	return t, err
}

// touch reads a byte of every page.
func touch(b []byte) (sum byte) {
	for i := 0; i < len(b); i += 4096 {
		sum += b[i]
	}
	return sum
}

func (m *Model) free() {
	for _, t := range m.placed {
		t.Device.Free(t)
	}
	m.placed = nil
}
