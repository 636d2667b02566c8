package magics

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/tensor"
)

// What %gpu bench attention computes: a layer of Llama 3.1 8B.
const (
	attnHeads, attnKVHeads, attnDim = 32, 8, 128
	attnChunk                       = 512 // tokens of a prompt computed together
)

// An attentionPoint is attention at one length of the context.
type attentionPoint struct {
	context int
	token   time.Duration // of the query after it
	prompt  time.Duration // of all its queries, a chunk at a time
	memory  int64         // caches, queries, results, and what the device took for itself
}

// benchAttention measures attention at doubling lengths, and plots it.
func benchAttention(ctx context.Context, c *Call) error {
	dev := c.devices.targets()[0]
	most, note := 65536, ""
	if dev.Name() == "cpu" {
		most, note = 2048, "no GPU here (%gpu says why): this is the CPU"
	}
	if n, _ := c.Flags.GetInt("ctx"); n != 0 {
		if n < attnChunk {
			return c.usage("--ctx %d: want at least %d", n, attnChunk)
		}
		most = n
	}
	var points []attentionPoint
	for n := attnChunk; n <= most; n *= 2 {
		p, err := measureAttention(ctx, dev, n)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if len(points) == 0 {
				return &jupyter.Error{Name: "DeviceError", Value: err.Error()}
			}
			note = strings.TrimPrefix(fmt.Sprintf("%s\nno further than %d tokens: %v", note, n/2, err), "\n")
			break
		}
		points = append(points, p)
	}
	t := table{Head: []string{"context", "one token", "whole prompt", "memory", "all scores would take"}}
	for _, p := range points {
		t.Rows = append(t.Rows, []string{fmt.Sprint(p.context), secondsText(p.token), secondsText(p.prompt), bytesText(p.memory), bytesText(p.scores())})
	}
	title := fmt.Sprintf("attention on %s: %d query heads and %d key heads of %d, f16 cache", dev.Name(), attnHeads, attnKVHeads, attnDim)
	t.Note = title
	if note != "" {
		t.Note += "\n" + note
	}
	c.Display.Show(jupyter.Bundle{"text/plain": t.text(), "image/svg+xml": attentionSVG(title, points)})
	return nil
}

// scores is what the scores of all queries and keys would take as f32.
func (p *attentionPoint) scores() int64 { return 4 * attnHeads * int64(p.context) * int64(p.context) }

// measureAttention times the best of some runs after n tokens.
func measureAttention(ctx context.Context, dev tensor.Device, n int) (p attentionPoint, err error) {
	p.context = n
	s := tensor.NewStream(dev)
	var made []*tensor.Tensor
	defer func() {
		s.Sync()
		for _, t := range made {
			dev.Free(t)
		}
	}()
	alloc := func(d tensor.DType, shape ...int) *tensor.Tensor {
		if err != nil {
			return nil
		}
		t, e := dev.New(d, shape...)
		if err = e; err != nil {
			return nil
		}
		made = append(made, t)
		p.memory += int64(t.Bytes())
		return t
	}
	k, v := alloc(tensor.F16, n, attnKVHeads*attnDim), alloc(tensor.F16, n, attnKVHeads*attnDim)
	q, dst := alloc(tensor.F32, attnChunk, attnHeads*attnDim), alloc(tensor.F32, attnChunk, attnHeads*attnDim)
	pos := alloc(tensor.I32, n)
	if err != nil {
		return p, err
	}
	b := make([]byte, 4*n)
	for i := range n {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(i))
	}
	if err := dev.Write(pos, b); err != nil {
		return p, err
	}
	s.Random(q, 1)
	for at := 0; at < n; at += attnChunk { // numbers like those of a text
		x := q.Slice(0, attnChunk).Reshape(attnChunk*attnHeads/attnKVHeads, attnKVHeads*attnDim).Slice(0, attnChunk)
		s.Store(k, x, pos.Slice(at, at+attnChunk))
		s.Store(v, x, pos.Slice(at, at+attnChunk))
	}
	a := tensor.Attend{Heads: attnHeads, KVHeads: attnKVHeads, Scale: 0.088}
	token := func() { s.Attention(dst.Slice(0, 1), q.Slice(0, 1), k, v, pos.Slice(n-1, n), a) }
	prompt := func() {
		for at := 0; at < n; at += attnChunk {
			s.Attention(dst, q, k, v, pos.Slice(at, at+attnChunk), a)
		}
	}
	if p.token, err = bestOf(ctx, s, 10, token); err == nil {
		p.prompt, err = bestOf(ctx, s, 3, prompt)
	}
	if d, ok := dev.(interface{ Scratch() int64 }); ok {
		p.memory += d.Scratch()
	}
	return p, err
}

// bestOf is the shortest time of some runs after one that is not counted, by
// the device's clock if it has one.
func bestOf(ctx context.Context, s *tensor.Stream, runs int, do func()) (best time.Duration, err error) {
	run := func() error { do(); return s.Err() }
	for i := range runs + 1 {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		var took time.Duration
		if d, ok := s.Device().(interface {
			Time(do func() error) (time.Duration, error)
		}); ok {
			took, err = d.Time(run)
		} else {
			start := time.Now()
			if err = run(); err == nil {
				err = s.Sync()
			}
			took = time.Since(start)
		}
		if err != nil {
			return 0, err
		}
		if i > 0 && (best == 0 || took < best) {
			best = took
		}
	}
	return best, nil
}

// attentionSVG plots the points: three panels over the context.
func attentionSVG(title string, points []attentionPoint) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 250" width="720" height="250" font-family="sans-serif" font-size="11">`+
		`<rect width="720" height="250" fill="white"/><text x="12" y="18" font-size="13">%s</text>`, title)
	for i, panel := range []struct {
		name string
		y    func(p *attentionPoint) float64
		unit func(v float64) string
	}{
		{"one token", func(p *attentionPoint) float64 { return p.token.Seconds() }, seconds},
		{"whole prompt", func(p *attentionPoint) float64 { return p.prompt.Seconds() }, seconds},
		{"memory", func(p *attentionPoint) float64 { return float64(p.memory) }, func(v float64) string { return bytesText(int64(v)) }},
	} {
		plotPanel(&b, 12+float64(i)*236, panel.name, points, panel.y, panel.unit)
	}
	return b.String() + "</svg>"
}

func seconds(v float64) string { return secondsText(time.Duration(v * float64(time.Second))) }

// plotPanel draws one line from zero, with its last point labelled.
func plotPanel(b *strings.Builder, left float64, name string, points []attentionPoint, y func(p *attentionPoint) float64, unit func(v float64) string) {
	const width, top, bottom = 212.0, 56.0, 220.0
	last := &points[len(points)-1]
	most := 0.0
	for i := range points {
		most = max(most, y(&points[i]))
	}
	fmt.Fprintf(b, `<text x="%g" y="40">%s, up to %s</text>`, left, name, unit(most))
	fmt.Fprintf(b, `<path d="M%g %gV%gH%g" fill="none" stroke="#888"/>`, left, top, bottom, left+width)
	fmt.Fprintf(b, `<text x="%g" y="%g">0</text><text x="%g" y="%g" text-anchor="end">%d tokens</text>`, left, bottom+14, left+width, bottom+14, last.context)
	b.WriteString(`<polyline fill="none" stroke="#76b900" stroke-width="2" points="`)
	var dots strings.Builder
	for i := range points {
		px := left + width*float64(points[i].context)/float64(last.context)
		py := bottom - (bottom-top)*y(&points[i])/max(most, 1e-12)
		fmt.Fprintf(b, "%.1f,%.1f ", px, py)
		fmt.Fprintf(&dots, `<circle cx="%.1f" cy="%.1f" r="3" fill="#76b900"/>`, px, py)
	}
	b.WriteString(`"/>` + dots.String())
}
