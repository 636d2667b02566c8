package magics

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/jupyter"
)

func init() {
	register(Magic{Name: "env", Args: "[NAME[=VALUE]]", Doc: "shows or sets environment variables", Line: true,
		Help: "%env                 all of them; values that look secret are hidden\n%env HOME            one\n%env NAME=VALUE      sets it, for the kernel and for ! commands",
		Run:  env,
		Complete: func(*Interpreter, Completing) (names []string) {
			for _, kv := range os.Environ() {
				name, _, _ := strings.Cut(kv, "=")
				names = append(names, name)
			}
			return names
		}})
}

func env(_ context.Context, c *Call) error {
	out := c.Display.Stdout()
	if len(c.Args) == 0 {
		vars := os.Environ()
		slices.Sort(vars)
		for _, kv := range vars {
			name, value, _ := strings.Cut(kv, "=")
			if secret(name) && value != "" {
				value = "<hidden>"
			}
			fmt.Fprintf(out, "%s=%s\n", name, value)
		}
		return nil
	}
	name, value, set := strings.Cut(c.Args[0], "=")
	if rest := c.Args[1:]; len(rest) > 0 { // %env NAME VALUE
		if set {
			value = strings.Join(append([]string{value}, rest...), " ")
		} else {
			value, set = strings.Join(rest, " "), true
		}
	}
	if !set {
		value, ok := os.LookupEnv(name)
		if !ok {
			return &jupyter.Error{Name: "NameError", Value: fmt.Sprintf("%s is not set; %%env %s=VALUE sets it", name, name)}
		}
		fmt.Fprintln(out, value)
		return nil
	}
	if err := os.Setenv(name, value); err != nil {
		return c.usage("%q cannot be set: %v", name, err)
	}
	if secret(name) {
		value = "<hidden>"
	}
	fmt.Fprintf(out, "%s=%s\n", name, value)
	return nil
}

// secret names hold what should not be saved with a notebook.
func secret(name string) bool {
	up := strings.ToUpper(name)
	return slices.ContainsFunc([]string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "ACCESS_KEY", "CREDENTIAL"},
		func(part string) bool { return strings.Contains(up, part) })
}
