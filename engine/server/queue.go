package server

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/llcuda/llcuda/internal/openai"
)

// A queue lets so many texts run, and so many wait. Those that wait begin in
// the order in which they came, and a request has no more of them in the queue
// at a time than may run: one that asks for hundreds leaves the others their
// turns, and counts as that many.
type queue struct {
	places  chan struct{} // one a running text
	most    int64         // running and waiting texts
	load    atomic.Int64  // of them, now
	texts   atomic.Int64  // of all requests that came in, those that are not begun too
	running atomic.Int64
}

func newQueue(parallel, waiting int) *queue {
	return &queue{places: make(chan struct{}, parallel), most: int64(parallel + waiting)}
}

// share is how many of its texts a request has in the queue at a time.
func (q *queue) share(texts int) int { return min(texts, cap(q.places)) }

// enter takes the texts of a request in, or none of them.
func (q *queue) enter(texts int) error {
	n := int64(q.share(texts))
	for {
		load := q.load.Load()
		if load+n > q.most {
			return errBusy
		}
		if q.load.CompareAndSwap(load, load+n) {
			q.texts.Add(int64(texts))
			return nil
		}
	}
}

// leave ends what enter began.
func (q *queue) leave(texts int) {
	q.load.Add(-int64(q.share(texts)))
	q.texts.Add(-int64(texts))
}

// run calls f when a text of enter may run.
func (q *queue) run(ctx context.Context, f func() error) error {
	select {
	case q.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	q.running.Add(1)
	defer func() {
		q.running.Add(-1)
		<-q.places
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	return f()
}

func (q *queue) state() (running, waiting int) {
	running = int(q.running.Load())
	return running, max(int(q.texts.Load())-running, 0)
}

// errBusy asks to come again. How long the queue takes is unknown: a second is
// what clients wait by themselves.
var errBusy = &openai.Error{Status: http.StatusTooManyRequests, Type: openai.RateLimit, Code: "queue_full", RetryAfter: time.Second,
	Message: "The server is busy and its queue is full. Please try again in a moment."}

// maxTexts bounds the texts of one request: prompts times choices.
const maxTexts = 256

func checkTexts(param string, prompts, n int) error {
	if prompts*n > maxTexts {
		return openai.Invalid(param, "invalid_value", "%s: at most %d in one request.", fmt.Sprintf("%d prompts times %d choices", prompts, n), maxTexts)
	}
	return nil
}
