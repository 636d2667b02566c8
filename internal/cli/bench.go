package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
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
	GBPerSecond     float64   `json:"gb_per_second,omitempty"` // weights that tokens read, decode only
	Samples         []float64 `json:"samples"`
}

// newBench measures prefill and decode as llama-bench does.
func newBench() *cobra.Command {
	var mf modelFlags
	var prompt, gen, repeat, depth int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench MODEL",
		Short: "Measure prefill and decode speed",
		Long: `Bench measures the rate of a prompt of -p tokens (test pp) and of -n tokens one
after the other (test tg), each from a context of --depth tokens, -r times after a
warm-up, and prints the table of llama-bench.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if prompt < 0 || gen < 0 || depth < 0 || repeat < 1 || prompt+gen == 0 {
				return usageError{fmt.Errorf("bench: -p %d -n %d -d %d -r %d: want positive counts", prompt, gen, depth, repeat)}
			}
			mf.context = max(mf.context, depth+max(prompt, gen))
			m, err := mf.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			var results []benchResult
			for _, t := range []struct {
				name string
				n    int
				step func(context.Context, *engine.Session, int) error
			}{{"pp", prompt, benchPrompt}, {"tg", gen, benchGenerate}} {
				if t.n == 0 {
					continue
				}
				samples, err := benchSamples(cmd.Context(), m, t.n, depth, repeat, t.step)
				if err != nil {
					return err
				}
				r := newResult(m, t.name, t.n, depth, samples)
				r.Threads = mf.threadCount()
				results = append(results, r)
			}
			if asJSON {
				return encodeJSON(cmd.OutOrStdout(), results)
			}
			return printBench(cmd.OutOrStdout(), results)
		},
	}
	mf.add(cmd)
	f := cmd.Flags()
	f.IntVarP(&prompt, "n-prompt", "p", 512, "tokens of the prompt; 0 leaves the test out")
	f.IntVarP(&gen, "n-gen", "n", 128, "tokens to generate; 0 leaves the test out")
	f.IntVarP(&depth, "depth", "d", 0, "tokens in the context before the test")
	f.IntVarP(&repeat, "repeat", "r", 5, "samples of each test")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newResult(m *engine.Model, test string, n, depth int, samples []float64) benchResult {
	info := m.Info()
	mean, dev := meanStdDev(samples)
	r := benchResult{Model: info.Arch + " " + info.FileType, Size: info.WeightBytes, Params: info.Params,
		Device: info.Device, Test: fmt.Sprintf("%s%d", test, n), TokensPerSecond: mean, StdDev: dev, Samples: samples}
	if depth > 0 {
		r.Test += fmt.Sprintf(" @ d%d", depth)
	}
	if test == "tg" {
		r.GBPerSecond = mean * float64(info.TokenBytes) / 1e9
	}
	return r
}

// benchSamples runs step on n tokens repeat times after one warm-up.
func benchSamples(ctx context.Context, m *engine.Model, n, depth, repeat int, step func(context.Context, *engine.Session, int) error) ([]float64, error) {
	s, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if depth > 0 {
		if _, err := s.Eval(ctx, randomIDs(m, depth)); err != nil {
			return nil, err
		}
	}
	var samples []float64
	for i := range repeat + 1 {
		s.Truncate(depth)
		start := time.Now()
		if err := step(ctx, s, n); err != nil {
			return nil, err
		}
		if i > 0 {
			samples = append(samples, float64(n)/time.Since(start).Seconds())
		}
	}
	return samples, nil
}

func benchPrompt(ctx context.Context, s *engine.Session, n int) error {
	_, err := s.Eval(ctx, randomIDs(s.Model(), n))
	return err
}

func benchGenerate(ctx context.Context, s *engine.Session, n int) error {
	for _, id := range randomIDs(s.Model(), n) {
		if _, err := s.Eval(ctx, []int32{id}); err != nil {
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

func printBench(w io.Writer, results []benchResult) error {
	fmt.Fprintln(w, "| model                          |       size |     params | backend    | threads |            test |                  t/s |     GB/s |")
	fmt.Fprintln(w, "| ------------------------------ | ---------: | ---------: | ---------- | ------: | --------------: | -------------------: | -------: |")
	for _, r := range results {
		gb := ""
		if r.GBPerSecond > 0 {
			gb = fmt.Sprintf("%.1f", r.GBPerSecond)
		}
		_, err := fmt.Fprintf(w, "| %-30s | %6.2f MiB | %8.2f M | %-10s | %7d | %15s | %20s | %8s |\n", r.Model,
			float64(r.Size)/(1<<20), float64(r.Params)/1e6, r.Device, r.Threads, r.Test,
			fmt.Sprintf("%.2f ± %.2f", r.TokensPerSecond, r.StdDev), gb)
		if err != nil {
			return err
		}
	}
	return nil
}
