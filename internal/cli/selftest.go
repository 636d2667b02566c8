package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/conformance"
	"github.com/llcuda/llcuda/tensor/cpu"
)

// A selftestRow is one operation on one type. Errors are normalised mean
// squared errors against the operation's definition in float64.
type selftestRow struct {
	Op      string   `json:"op"`
	Type    string   `json:"type,omitempty"`
	Cases   int      `json:"cases"`
	Worst   float64  `json:"worst_error"`
	Bound   float64  `json:"bound"`   // of the worst case
	Lacking int      `json:"lacking"` // cases that the device does not have
	Failed  []string `json:"failed,omitempty"`
}

// newSelftest runs the conformance suite on the user's own device.
func newSelftest() *cobra.Command {
	var device deviceFlag
	var only []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Check every operation and type on this machine's GPU or CPU",
		Long: `Selftest computes every operation, for every data type and many shapes, on each
device, and compares the results with the operation's definition in float64. It
prints a line for each operation and type: how many cases, the largest error
(normalised mean squared), the bound, and whether all are within it.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			devices, err := device.cards(cmd)
			if err != nil {
				return err
			}
			if len(devices) == 0 {
				devices = []tensor.Device{cpu.Default()}
			}
			cases, err := selectCases(only)
			if err != nil {
				return usageError{err}
			}
			return selftest(cmd.Context(), cmd.OutOrStdout(), devices, cases, asJSON)
		},
	}
	device.add(cmd)
	cmd.Flags().StringSliceVar(&only, "op", nil, "check only these `operations`: matmul,attention")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// selectCases are those of some operations, or all.
func selectCases(only []string) ([]conformance.Case, error) {
	all := conformance.Cases()
	if len(only) == 0 {
		return all, nil
	}
	var ops []string
	for _, c := range all {
		if !slices.Contains(ops, c.Op) {
			ops = append(ops, c.Op)
		}
	}
	for _, op := range only {
		if !slices.Contains(ops, op) {
			return nil, fmt.Errorf("selftest: --op %q: want one of %s", op, strings.Join(ops, ", "))
		}
	}
	return slices.DeleteFunc(all, func(c conformance.Case) bool { return !slices.Contains(only, c.Op) }), nil
}

func selftest(ctx context.Context, w io.Writer, devices []tensor.Device, cases []conformance.Case, asJSON bool) error {
	type result struct {
		Device string        `json:"device"`
		Rows   []selftestRow `json:"rows"`
	}
	var results []result
	failed := 0
	for _, dev := range devices {
		if !asJSON {
			fmt.Fprintf(w, "%s\n", deviceText(dev))
		}
		rows, err := checkDevice(ctx, dev, cases)
		if err != nil {
			return err
		}
		results = append(results, result{dev.Name(), rows})
		for _, r := range rows {
			failed += len(r.Failed)
		}
		if !asJSON {
			printSelftest(w, rows)
		}
	}
	if asJSON {
		if err := encodeJSON(w, results); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("selftest: %d of %d cases failed", failed, len(cases)*len(devices))
	}
	return nil
}

// deviceText names a device, and a card's kernel image.
func deviceText(dev tensor.Device) string {
	text := dev.Name()
	if c, ok := dev.(card); ok {
		i := c.Info()
		text = fmt.Sprintf("%s: %s, compute capability %s, %d SMs, kernels: %s", dev.Name(), i.Name, i.Capability(), i.SMs, c.Image())
	}
	return text
}

// checkDevice runs the cases, in one row an operation and type.
func checkDevice(ctx context.Context, dev tensor.Device, cases []conformance.Case) (rows []selftestRow, err error) {
	at := map[[2]string]int{}
	for _, c := range cases {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		key := [2]string{c.Op, c.Type()}
		i, ok := at[key]
		if !ok {
			i = len(rows)
			at[key] = i
			rows = append(rows, selftestRow{Op: c.Op, Type: key[1]})
		}
		r := &rows[i]
		r.Cases++
		e, err := conformance.Check(dev, c)
		if errors.Is(err, tensor.ErrUnsupported) {
			r.Lacking++
			continue
		}
		if err != nil {
			r.Failed = append(r.Failed, err.Error())
		}
		if !(e <= math.MaxFloat64) { // JSON knows no NaN
			e = math.MaxFloat64
		}
		if r.Bound == 0 || e*r.Bound > r.Worst*c.Bound { // nearer to its bound
			r.Worst, r.Bound = e, c.Bound
		}
	}
	return rows, nil
}

func printSelftest(w io.Writer, rows []selftestRow) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "operation\ttype\tcases\tworst error\tbound\t")
	cases, failed, lacking := 0, 0, 0
	for _, r := range rows {
		verdict := "ok"
		switch {
		case len(r.Failed) > 0:
			verdict = fmt.Sprintf("FAIL (%d)", len(r.Failed))
		case r.Lacking > 0:
			verdict = fmt.Sprintf("%d not on this device", r.Lacking)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%.2g\t%.2g\t%s\n", r.Op, r.Type, r.Cases, r.Worst, r.Bound, verdict)
		cases, failed, lacking = cases+r.Cases, failed+len(r.Failed), lacking+r.Lacking
	}
	t.Flush()
	for _, r := range rows {
		for _, f := range r.Failed {
			fmt.Fprintln(w, "FAIL", f)
		}
	}
	fmt.Fprintf(w, "%d cases: %d ok, %d failed, %d not on this device\n\n", cases, cases-failed-lacking, failed, lacking)
}
