package cli

import (
	"errors"
	"fmt"

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
			if asJSON {
				return encodeJSON(cmd.OutOrStdout(), checks)
			}
			failed := 0
			for _, c := range checks {
				mark := "ok  "
				if !c.OK {
					mark = "FAIL"
					failed++
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %-12s %s\n", mark, c.Name, c.Detail)
				if !c.OK && c.Hint != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "%18s → %s\n", "", c.Hint)
				}
			}
			if failed > 0 {
				return errors.New("doctor: see the failed checks above")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
