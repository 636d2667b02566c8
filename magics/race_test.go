package magics

import (
	"context"
	"testing"
)

// Completion and inspection come while a cell runs.
func TestQuestionsWhileACellRuns(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	done := make(chan bool)
	go func() {
		for range 20 {
			run(in, "%tensor A = randn(8, 8)\n%tensor B = [A, 1]\n%infer a --max-tokens 2 --var s\n%load demo --as other\n%unload other\n%reset")
		}
		close(done)
	}()
	for {
		select {
		case <-done:
			return
		default:
			for _, code := range []string{"%tensor A", "%unload o", "%load d", "%infer --model "} {
				in.Complete(context.Background(), code, len(code))
				in.Inspect(context.Background(), code, len(code), 0)
			}
			in.Inspect(context.Background(), "B", 1, 0)
			in.IsComplete("%tensor A")
		}
	}
}
