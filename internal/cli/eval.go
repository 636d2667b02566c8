package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
)

// newEval: logits of given token ids, for comparison with other engines.
func newEval() *cobra.Command {
	var mf modelFlags
	var ids, logits string
	var top int
	var single bool
	cmd := &cobra.Command{
		Use:   "eval MODEL --ids windows.json (--logits out.npy | --top K)",
		Short: "Logits of given token ids",
		Long: `Eval runs windows of token ids through the model, each from an empty context.

windows.json holds a list of lists of ids. --logits writes the logits of all
positions, window after window, as one float32 matrix (positions, vocabulary) in
NumPy's format. --top prints JSON: for each window and position the K likeliest
ids with their log probabilities.

--single computes one token after the other, each as generation does: by the
recorded step of one token, where --batch 1 takes the way of a prompt.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if ids == "" || (logits == "") == (top == 0) {
				return usageError{errors.New("eval: want --ids and one of --logits and --top")}
			}
			if top < 0 {
				return usageError{fmt.Errorf("eval: --top %d: want 1 or more", top)}
			}
			windows, err := readWindows(ids)
			if err != nil {
				return err
			}
			longest := 0
			for _, w := range windows {
				longest = max(longest, len(w))
			}
			mf.context = max(mf.context, longest)
			m, err := mf.open(cmd, args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			e := evaluation{m, windows, single}
			if logits != "" {
				return e.writeLogits(cmd.Context(), logits)
			}
			return e.printTop(cmd, top)
		},
	}
	mf.add(cmd)
	cmd.Flags().StringVar(&ids, "ids", "", "JSON file with a list of windows of token ids")
	cmd.Flags().StringVar(&logits, "logits", "", "write float32 logits of all positions to this .npy file")
	cmd.Flags().IntVar(&top, "top", 0, "print the K likeliest ids of each position as JSON")
	cmd.Flags().BoolVar(&single, "single", false, "one token at a time, as in generation")
	return cmd
}

func readWindows(path string) ([][]int32, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var windows [][]int32
	if err := json.Unmarshal(b, &windows); err != nil {
		return nil, fmt.Errorf("eval: %s: want a list of lists of token ids: %w", path, err)
	}
	for i, w := range windows {
		if len(w) == 0 {
			return nil, fmt.Errorf("eval: %s: window %d is empty", path, i)
		}
	}
	return windows, nil
}

// An evaluation is windows of token ids to run through a model.
type evaluation struct {
	m       *engine.Model
	windows [][]int32
	single  bool // one token at a time
}

// each calls f with the logits of every position of every window.
func (e evaluation) each(ctx context.Context, f func(window int, logits []float32)) error {
	s, err := e.m.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	for i, w := range e.windows {
		s.Reset()
		if err := e.window(ctx, s, w, func(logits []float32) { f(i, logits) }); err != nil {
			return fmt.Errorf("eval: window %d: %w", i, err)
		}
	}
	return nil
}

func (e evaluation) window(ctx context.Context, s *engine.Session, ids []int32, f func(logits []float32)) error {
	if !e.single {
		return s.EvalAll(ctx, ids, func(_ int, logits []float32) { f(logits) })
	}
	for i := range ids {
		logits, err := s.Eval(ctx, ids[i:i+1])
		if err != nil {
			return err
		}
		f(logits)
	}
	return nil
}

// writeLogits writes the logits of all positions to a .npy file.
func (e evaluation) writeLogits(ctx context.Context, path string) error {
	rows := 0
	for _, w := range e.windows {
		rows += len(w)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	npy, err := newNPY(f, rows, e.m.Info().Vocab)
	if err != nil {
		return err
	}
	if err := e.each(ctx, func(_ int, logits []float32) { npy.Row(logits) }); err != nil {
		return err
	}
	if err := npy.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// topToken is one of the likeliest tokens of a position.
type topToken struct {
	ID      int32   `json:"id"`
	LogProb float32 `json:"logprob"`
}

// printTop prints the k likeliest tokens of all positions as JSON.
func (e evaluation) printTop(cmd *cobra.Command, k int) error {
	out := make([][][]topToken, len(e.windows))
	err := e.each(cmd.Context(), func(w int, logits []float32) {
		top := []topToken{}
		for _, p := range engine.Top(logits, k) {
			top = append(top, topToken{p.ID, p.Logprob})
		}
		out[w] = append(out[w], top)
	})
	if err != nil {
		return err
	}
	return encodeJSON(cmd.OutOrStdout(), out)
}
