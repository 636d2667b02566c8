package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/install"
)

// newInstall writes the kernelspec, so that Jupyter offers the kernel.
func newInstall() *cobra.Command {
	var o install.Options
	var env []string
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Make Jupyter offer the llcuda kernel",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Env = map[string]string{}
			for _, e := range env {
				key, value, ok := strings.Cut(e, "=")
				if !ok || key == "" {
					return usageError{fmt.Errorf("install: --env %q: want NAME=VALUE", e)}
				}
				o.Env[key] = value
			}
			dir, err := install.Install(o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "installed the kernel in", dir)
			return err
		},
	}
	addSpecFlags(cmd, &o)
	cmd.Flags().StringVar(&o.DisplayName, "display-name", "", "name shown to users (default: llcuda)")
	cmd.Flags().StringArrayVar(&env, "env", nil, "NAME=VALUE for the kernel's environment; may be given more than once")
	return cmd
}

func newUninstall() *cobra.Command {
	var o install.Options
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove the kernel from Jupyter's list",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dirs, err := install.Uninstall(o)
			for _, dir := range dirs {
				fmt.Fprintln(cmd.OutOrStdout(), "removed", dir)
			}
			return err
		},
	}
	addSpecFlags(cmd, &o)
	return cmd
}

// addSpecFlags are the options that say which kernelspec is meant.
func addSpecFlags(cmd *cobra.Command, o *install.Options) {
	f := cmd.Flags()
	f.BoolVar(&o.User, "user", false, "for this user (the default)")
	f.BoolVar(&o.SysPrefix, "sys-prefix", false, "for the Python environment in use")
	f.StringVar(&o.Prefix, "prefix", "", "below this prefix, in share/jupyter/kernels")
	f.StringVar(&o.Name, "name", "llcuda", "directory name of the kernelspec")
	cmd.MarkFlagsMutuallyExclusive("user", "sys-prefix", "prefix")
}
