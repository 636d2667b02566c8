// Command llcuda is a Jupyter kernel and toolkit for LLM inference.
package main

import (
	"os"

	"github.com/llcuda/llcuda/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
