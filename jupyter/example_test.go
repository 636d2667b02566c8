package jupyter_test

import (
	"context"
	"fmt"
	"log"

	"github.com/llcuda/llcuda/jupyter"
)

// A notebook runs without Jupyter; its outputs are what Jupyter would have
// written. The interpreter echo is in echo_test.go.
func ExampleNotebook_Run() {
	nb := &jupyter.Notebook{Cells: []*jupyter.NotebookCell{
		{Type: "code", ID: "a", Source: "print hello"},
		{Type: "code", ID: "b", Source: "result 42"},
	}}
	if err := nb.Run(context.Background(), echo{}, jupyter.RunOptions{}); err != nil {
		log.Fatal(err)
	}
	for _, c := range nb.Cells {
		fmt.Println(c.Count, c.Outputs)
	}
	// Output:
	// 1 [map[name:stdout output_type:stream text:hello
	// ]]
	// 2 [map[data:map[text/plain:42] execution_count:2 metadata:map[] output_type:execute_result]]
}
