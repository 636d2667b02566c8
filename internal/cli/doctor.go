package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/install"
)

// newDoctor checks what llcuda needs of this machine.
func newDoctor() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine and say what to mend",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := append(install.Doctor(cmd.Context()), gpuCheck())
			if err := printChecks(cmd.OutOrStdout(), checks, asJSON); err != nil {
				return err
			}
			if slices.ContainsFunc(checks, func(c install.Check) bool { return !c.OK }) {
				return errors.New("doctor: see the failed checks above")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printChecks(w io.Writer, checks []install.Check, asJSON bool) error {
	if asJSON {
		out := []map[string]any{}
		for _, c := range checks {
			out = append(out, map[string]any{"name": c.Name, "ok": c.OK, "detail": c.Detail, "hint": c.Hint})
		}
		return encodeJSON(w, out)
	}
	for _, c := range checks {
		mark := "ok  "
		if !c.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(w, "%s  %-12s %s\n", mark, c.Name, c.Detail)
		if !c.OK && c.Hint != "" {
			fmt.Fprintf(w, "%18s → %s\n", "", c.Hint)
		}
	}
	return nil
}
