package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/synth"
	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/internal/export"
	"github.com/llcuda/llcuda/tensor"
)

// A benchResult is one line of the table; the names are those of llama-bench.
type benchResult struct {
	Model           string    `json:"model"`
	Size            int64     `json:"size_bytes"`
	Params          int64     `json:"params"`
	Device          string    `json:"device"`
	Threads         int       `json:"threads"`
	Test            string    `json:"test"`
	TokensPerSecond float64   `json:"tokens_per_second"`
	StdDev          float64   `json:"stddev"`
	GBPerSecond     float64   `json:"gb_per_second,omitempty"`             // weights that tokens read, decode only
	StreamRead      float64   `json:"stream_read_gb_per_second,omitempty"` // what the card reads at best, measured here
	HostMicros      float64   `json:"host_us_per_token,omitempty"`         // host's work beside a card's, decode only
	Seconds         float64   `json:"seconds,omitempty"`                   // of the test load
	Announced       int64     `json:"memory_announced_bytes,omitempty"`    // on cards, before loading
	Used            int64     `json:"memory_used_bytes,omitempty"`         // on cards, with a session at work
	Texts           int       `json:"texts,omitempty"`                     // continued at once
	Samples         []float64 `json:"samples"`
}

// bench is what the command line asks for.
type bench struct {
	modelFlags
	shape, write               string
	prompt, gen, repeat, depth int
	rank                       int      // of a random adapter; 0: none
	only, types                []string // operations, and types of weights
	parallel                   []int    // texts at once
	ops, load, force, asJSON   bool

	cards  []tensor.Device
	before int64 // bytes that they had free
	used   int64 // bytes that the model and a session have taken of them
}

// newBench measures prefill and decode as llama-bench does.
func newBench() *cobra.Command {
	var b bench
	cmd := &cobra.Command{
		Use:   "bench MODEL | bench --shape NAME",
		Short: "Measure prefill and decode speed, or each operation",
		Long: `Bench measures the rate of a prompt of -p tokens (test pp) and of -n greedy tokens one
after the other (test tg), each from a context of --depth tokens, -r times after a
warm-up, and prints the table of llama-bench. On a GPU it also measures how fast the
card reads its memory: decoding can be no faster than reading all weights for a token.

--shape makes a model of random numbers in the shapes and types (Q4_K_M) of a real one:
` + strings.Join(synth.Names(), ", ") + `,
and each with -nf4. --write FILE writes it instead.
--parallel 1,8,32 measures so many texts at once, each of -n tokens after a prompt of 16
(test tg × N): the tokens of all together.
--load measures the time from an open device to the first token; the file is read once
before, so that it comes from memory. With --quantize, making the new types counts.
--ops measures every operation alone, for one token and for -p of them: the
time of one of many in a recorded step, whose products of one vector share launches
(LLCUDA_FUSE=0: a launch for each). --type q8_0,q5_0 measures products with weights of
these types instead of the model's.`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if b.prompt < 0 || b.gen < 0 || b.depth < 0 || b.repeat < 1 || b.prompt+b.gen == 0 && !b.load && !b.ops {
				return usageError{fmt.Errorf("bench: -p %d -n %d -d %d -r %d: want positive counts", b.prompt, b.gen, b.depth, b.repeat)}
			}
			if (len(args) == 1) == (b.shape != "") {
				return usageError{fmt.Errorf("bench: want a model or --shape; usage: %s", cmd.UseLine())}
			}
			if len(b.only) > 0 && !b.ops {
				return usageError{fmt.Errorf("bench: --op wants --ops")}
			}
			for _, op := range b.only {
				if !slices.Contains(benchOps, op) {
					return usageError{fmt.Errorf("bench: --op %q: want some of %s", op, strings.Join(benchOps, ", "))}
				}
			}
			if len(b.types) > 0 && !b.ops {
				return usageError{fmt.Errorf("bench: --type wants --ops")}
			}
			if b.ops && (b.load || len(b.parallel) > 0) {
				return usageError{fmt.Errorf("bench: --ops measures operations alone: leave --load and --parallel out")}
			}
			if b.quantize != "" && b.shape != "" {
				return usageError{fmt.Errorf("bench: --quantize wants a model; a --shape has its types")}
			}
			if b.write != "" && b.shape == "" {
				return usageError{fmt.Errorf("bench: --write wants --shape")}
			}
			if b.force && b.write == "" {
				return usageError{fmt.Errorf("bench: --force wants --write")}
			}
			if err := b.checkParallel(); err != nil {
				return err
			}
			return b.run(cmd, strings.Join(args, ""))
		},
	}
	b.add(cmd)
	f := cmd.Flags()
	f.StringVar(&b.shape, "shape", "", "a model of random numbers like `NAME`")
	f.StringVar(&b.write, "write", "", "write the model of --shape to this `file`, which ends in .gguf")
	f.BoolVar(&b.force, "force", false, "with --write, over a file that is there")
	f.IntVarP(&b.prompt, "n-prompt", "p", 512, "tokens of the prompt; 0 leaves the test out")
	f.IntVarP(&b.gen, "n-gen", "n", 128, "tokens to generate; 0 leaves the test out")
	f.IntVarP(&b.depth, "depth", "d", 0, "tokens in the context before the test")
	f.IntVarP(&b.repeat, "repeat", "r", 5, "samples of each test")
	f.IntSliceVar(&b.parallel, "parallel", nil, "measure so many `texts` at once: 1,8,32")
	f.IntVar(&b.rank, "adapter-rank", 0, "attach a random adapter of this `rank` to all products of the layers")
	f.BoolVar(&b.ops, "ops", false, "measure each operation of the model alone")
	f.StringSliceVar(&b.only, "op", nil, "with --ops only these `operations`: matmul,attention")
	f.StringSliceVar(&b.types, "type", nil, "with --ops products of these `types`: q8_0,q5_0")
	completeNames(cmd, "type", dtypeNames())
	f.BoolVar(&b.load, "load", false, "measure loading, to the first token")
	f.BoolVar(&b.asJSON, "json", false, "print JSON")
	return cmd
}

func (b *bench) run(cmd *cobra.Command, name string) error {
	if b.write != "" {
		return b.writeShape(cmd)
	}
	// Context for what is computed and for the token after it.
	b.context = max(b.context, b.depth+max(b.prompt, b.gen+1, 2))
	if len(b.parallel) > 0 {
		b.context = max(b.context, benchPrompts+b.gen+1)
	}
	o, err := b.options(cmd)
	if err != nil {
		return err
	}
	if len(b.parallel) > 0 {
		o.Texts = slices.Max(b.parallel)
	}
	f, err := b.file(cmd, name, o)
	if err != nil {
		return err
	}
	defer f.Close()
	if b.ops {
		return b.runOps(cmd, f, o)
	}
	var results []benchResult
	b.cards, b.before = o.GPUs, freeBytes(o.GPUs)
	start := time.Now()
	m, err := engine.LoadFile(cmd.Context(), f, o)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := b.adapt(cmd, m); err != nil {
		return err
	}
	if b.load {
		if err := firstToken(cmd.Context(), m); err != nil {
			return err
		}
		r := b.result(m, "load", nil, nil)
		r.Test, r.Seconds = "load", time.Since(start).Seconds()
		results = append(results, r)
	}
	if results, err = b.speed(cmd.Context(), m, results); err != nil {
		return err
	}
	if results, err = b.together(cmd.Context(), m, results); err != nil {
		return err
	}
	if err := streamRead(m, o, results); err != nil {
		return err
	}
	if b.asJSON {
		return encodeJSON(cmd.OutOrStdout(), results)
	}
	return printBench(cmd.OutOrStdout(), results)
}

// file opens the model, fetched if it is not here and read where its loading is
// measured, in the types of --quantize, or makes the one of --shape.
func (b *bench) file(cmd *cobra.Command, name string, o engine.Options) (*gguf.File, error) {
	if b.shape != "" {
		f, err := synth.New(b.shape, len(o.GPUs) > 0 && b.gpuLayers < 0 || b.ops)
		if err != nil {
			return nil, usageError{err}
		}
		return f, nil
	}
	mix, err := b.mix()
	if err != nil {
		return nil, usageError{err}
	}
	f, err := openModel(cmd, query(name, o), catalog.FromEnv().Find)
	if err != nil {
		return nil, err
	}
	if b.load {
		if err := readOnce(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return quantized(f, mix)
}

// adapt attaches the adapters that were asked for, or a random one.
func (b *bench) adapt(cmd *cobra.Command, m *engine.Model) error {
	all, err := b.parse()
	switch {
	case err != nil:
		return usageError{err}
	case b.merge || b.rank < 0:
		return usageError{errors.New("bench: adapters are measured beside the weights; leave --merge out, and take a rank of 1 or more")}
	case b.rank > m.Info().EmbeddingLength: // more is a change that has no such rank
		return usageError{fmt.Errorf("bench: --adapter-rank %d: want at most %d, the width of the model", b.rank, m.Info().EmbeddingLength)}
	case b.rank == 0:
		return attach(cmd, m, all)
	}
	f, err := synth.Adapter(m.File(), b.rank)
	if err != nil {
		return err
	}
	a, err := m.Attach(cmd.Context(), f, "random")
	if err != nil {
		return err
	}
	return m.SetAdapters(engine.Scaled{Adapter: a, Scale: 1})
}

func freeBytes(devices []tensor.Device) (free int64) {
	for _, d := range devices {
		n, _ := d.Memory()
		free += n
	}
	return free
}

// writeShape writes the model of --shape as export writes one: complete or not
// at all, and over a file only with --force.
func (b *bench) writeShape(cmd *cobra.Command) error {
	f, err := synth.New(b.shape, true)
	if err != nil {
		return usageError{err}
	}
	p := &progress{w: cmd.ErrOrStderr(), what: filepath.Base(b.write), live: isTerminal(cmd.ErrOrStderr())}
	_, err = export.File(cmd.Context(), f, b.write, export.Options{Force: b.force, Progress: p.update})
	p.end()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: random numbers in the shape of %s\n", b.write, b.shape)
	return err
}

// readOnce brings a file into memory.
func readOnce(f *gguf.File) error {
	return gguf.Guard(func() error {
		for i := range f.Tensors {
			for b := f.Tensors[i].Data; len(b) > 0; b = b[min(4096, len(b)):] {
				touched += b[0]
			}
		}
		return nil
	})
}

var touched byte // so that reading is not left out

func firstToken(ctx context.Context, m *engine.Model) error {
	s, err := m.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	return benchGenerate(ctx, s, 1, nil)
}

// speed runs the tests pp and tg.
func (b *bench) speed(ctx context.Context, m *engine.Model, results []benchResult) ([]benchResult, error) {
	for _, t := range []struct {
		name string
		n    int
		step func(context.Context, *engine.Session, int, *engine.Stats) error
	}{{"pp", b.prompt, benchPrompt}, {"tg", b.gen, benchGenerate}} {
		if t.n == 0 {
			continue
		}
		samples, host, err := b.samples(ctx, m, t.n, t.step)
		if err != nil {
			return nil, err
		}
		r := b.result(m, t.name, samples, host)
		r.Test = fmt.Sprintf("%s%d", t.name, t.n)
		if b.depth > 0 {
			r.Test += fmt.Sprintf(" @ d%d", b.depth)
		}
		results = append(results, r)
	}
	return results, nil
}

func (b *bench) result(m *engine.Model, test string, samples, hostMicros []float64) benchResult {
	info := m.Info()
	mean, dev := meanStdDev(samples)
	r := benchResult{Model: info.Arch + " " + info.FileType, Size: info.WeightBytes, Params: info.Params, Threads: b.threadCount(),
		Device: info.Device, TokensPerSecond: mean, StdDev: dev, Samples: samples}
	for _, u := range info.Devices {
		if u.Device != "cpu" {
			r.Announced, r.Used = r.Announced+u.Bytes(), b.used
		}
	}
	if b.shape != "" {
		r.Model = b.shape + " " + info.FileType
	}
	if test == "tg" {
		r.GBPerSecond = mean * float64(info.TokenBytes) / 1e9
		if info.Device != "cpu" {
			r.HostMicros, _ = meanStdDev(hostMicros)
		}
	}
	return r
}

// samples runs step on n tokens repeat times after one warm-up, and returns
// tokens a second and the host's microseconds a token.
func (b *bench) samples(ctx context.Context, m *engine.Model, n int, step func(context.Context, *engine.Session, int, *engine.Stats) error) (rates, host []float64, err error) {
	s, err := m.NewSession()
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	if b.depth > 0 {
		if _, err := s.Eval(ctx, randomIDs(m, b.depth)); err != nil {
			return nil, nil, err
		}
	}
	for i := range b.repeat + 1 {
		s.Truncate(b.depth)
		var stats engine.Stats
		start := time.Now()
		if err := step(ctx, s, n, &stats); err != nil {
			return nil, nil, err
		}
		if i > 0 {
			rates = append(rates, float64(n)/time.Since(start).Seconds())
			host = append(host, float64((stats.DecodeTime-stats.WaitTime).Nanoseconds())/1e3/float64(max(1, stats.NewTokens-1)))
		}
	}
	b.used = max(b.used, b.before-freeBytes(b.cards))
	return rates, host, nil
}

func benchPrompt(ctx context.Context, s *engine.Session, n int, _ *engine.Stats) error {
	_, err := s.Eval(ctx, randomIDs(s.Model(), n))
	return err
}

// benchGenerate generates n greedy tokens after one.
func benchGenerate(ctx context.Context, s *engine.Session, n int, stats *engine.Stats) error {
	for _, err := range s.Generate(ctx, randomIDs(s.Model(), 1), engine.GenerateOptions{MaxTokens: n, IgnoreEOG: true, Stats: stats}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// randomIDs are the same ids on every call: speed depends on them only by
// chance.
func randomIDs(m *engine.Model, n int) []int32 {
	rng := rand.New(rand.NewPCG(1, 2))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(rng.IntN(m.Info().Vocab))
	}
	return ids
}

func meanStdDev(x []float64) (mean, dev float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		dev += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(dev / float64(max(1, len(x)-1)))
}

// streamBytes is what a card reads to measure its memory: more than any cache.
const streamBytes = 2 << 30

// streamRead measures the memory of the card that has the whole model.
func streamRead(m *engine.Model, o engine.Options, results []benchResult) error {
	if len(m.Info().Devices) != 1 {
		return nil
	}
	c, ok := findCard(o.GPUs, m.Info().Device).(card)
	if !ok {
		return nil
	}
	rate, err := c.StreamRead(streamBytes)
	if err != nil {
		return err
	}
	for i := range results {
		results[i].StreamRead = rate
	}
	return nil
}

func printBench(w io.Writer, results []benchResult) error {
	fmt.Fprintln(w, "| model                          |       size |     params | backend    | threads |            test |                  t/s |     GB/s | of read | host µs |")
	fmt.Fprintln(w, "| ------------------------------ | ---------: | ---------: | ---------- | ------: | --------------: | -------------------: | -------: | ------: | ------: |")
	for _, r := range results {
		rate, gb, share, host := fmt.Sprintf("%.2f ± %.2f", r.TokensPerSecond, r.StdDev), "", "", ""
		if r.GBPerSecond > 0 {
			gb = fmt.Sprintf("%.1f", r.GBPerSecond)
			if r.StreamRead > 0 {
				share = fmt.Sprintf("%.0f %%", 100*r.GBPerSecond/r.StreamRead)
			}
		}
		if r.HostMicros > 0 {
			host = fmt.Sprintf("%.1f", r.HostMicros)
		}
		if r.Seconds > 0 {
			rate = fmt.Sprintf("%.2f s", r.Seconds)
		}
		_, err := fmt.Fprintf(w, "| %-30s | %6.2f MiB | %8.2f M | %-10s | %7d | %15s | %20s | %8s | %7s | %7s |\n", r.Model,
			float64(r.Size)/(1<<20), float64(r.Params)/1e6, r.Device, r.Threads, r.Test, rate, gb, share, host)
		if err != nil {
			return err
		}
	}
	if len(results) == 0 {
		return nil
	}
	last := results[len(results)-1]
	if last.StreamRead > 0 {
		fmt.Fprintf(w, "\nThe card reads its memory at %.0f GB/s.\n", last.StreamRead)
	}
	if last.Used > 0 {
		fmt.Fprintf(w, "Memory on cards: %.1f MiB announced, %.1f MiB used.\n", float64(last.Announced)/(1<<20), float64(last.Used)/(1<<20))
	}
	return nil
}
