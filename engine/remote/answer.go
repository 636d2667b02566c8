package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/llcuda/llcuda/internal/openai"
)

// errLeft is that the caller of an iterator has broken off.
var errLeft = errors.New("left")

// errNotAPI is an answer that no server of this API gives.
var errNotAPI = errors.New("not what the API has; its address usually ends in /v1")

// errNoAnswer is a connection that was closed in place of an answer.
var errNoAnswer = errors.New("the connection ended before the answer")

// errDropped is a stream that ended without the reason which the API promises:
// llama-cpp-python's server drops an answer so when it is asked anew.
var errDropped = errors.New("it has no finish_reason, as with servers that drop an answer for another call")

// maxAnswer bounds what is read as one JSON text, in bytes.
const maxAnswer = 16 << 20

// An answer is one try of one request at one server.
type answer struct {
	c     *Client
	stats *Stats
	yield func(Piece, error) bool

	unstreamed *bool // this call was asked without a stream, too

	start, last time.Time
	events      int
	pieces      int
	bytes       int
	finish      string
	usage       *openai.Usage
}

// ask sends the request and delivers the pieces of the answer. Nothing was
// delivered when the error is none of errLeft and *CutError.
func (a *answer) ask(ctx context.Context, q *Request) error {
	chat, fell := q.Messages != nil, false
	for {
		asChat := chat || a.c.noCompletions.Load()
		body, err := a.c.body(q, asChat, !*a.unstreamed)
		if err != nil {
			return err
		}
		a.stats.Tries++
		a.stats.AsChat = asChat && !chat
		a.start = time.Now()
		path := "/completions"
		if asChat {
			path = "/chat/completions"
		}
		r, err := a.c.send(ctx, path, body)
		if err == nil {
			err = a.read(ctx, r)
			if errors.Is(err, errNoAnswer) && a.events == 0 && !*a.unstreamed {
				*a.unstreamed = true // what is wrong can be said in a whole answer
				continue
			}
			return err
		}
		if !a.c.adapt(err, asChat, q) {
			if fell && missing(err) { // nor has it chats: the address is wrong
				a.c.noCompletions.Store(false)
			}
			return err
		}
		fell = fell || !asChat && a.c.noCompletions.Load()
	}
}

// adapt remembers what the server lacks, and says whether to ask again without.
func (c *Client) adapt(err error, chat bool, q *Request) bool {
	var e *APIError
	if !errors.As(err, &e) {
		return false
	}
	said := strings.ToLower(e.Message)
	refused := e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity
	switch {
	case refused && strings.Contains(said, "stream_options"):
		return c.noStreamOptions.CompareAndSwap(false, true)
	case refused && chat && q.MaxTokens > 0 && strings.Contains(said, "max_completion_tokens"):
		return c.noMaxTokens.CompareAndSwap(false, true)
	case !chat && (missing(e) && !strings.Contains(said, "model") || strings.Contains(said, "chat model")):
		return c.noCompletions.CompareAndSwap(false, true)
	}
	return false
}

// missing reports whether a server does not have what it was asked for: a path
// or a model.
func missing(err error) bool {
	var e *APIError
	return errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented)
}

func (a *answer) read(ctx context.Context, r *http.Response) error {
	defer r.Body.Close()
	a.stats.Server = a.c.base.Host
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var err error
	switch kind {
	case "text/event-stream":
		err = a.stream(r.Body)
	case "application/json":
		err = a.whole(r.Body)
	default:
		return fmt.Errorf("remote: %s: an answer of type %q is %w", a.c.base, kind, errNotAPI)
	}
	a.count()
	switch {
	case err == nil || err == errLeft:
		return err
	case ctx.Err() != nil:
		return a.cut(ctx.Err())
	}
	return a.cut(err)
}

// cut is err as the error of an answer that has begun, where it has.
func (a *answer) cut(err error) error {
	if a.pieces > 0 {
		return &CutError{Server: a.c.base.Host, Pieces: a.pieces, Bytes: a.bytes, Err: err}
	}
	var e *APIError
	var late *TimeoutError
	switch {
	case errors.As(err, &e) || errors.As(err, &late) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case err == io.ErrUnexpectedEOF:
		err = errNoAnswer
	}
	return fmt.Errorf("remote: %s: %w", a.c.base.Host, err)
}

// stream reads events up to [DONE], or to the end of a stream. One of them says
// why the answer ends, or counts it.
func (a *answer) stream(body io.Reader) error {
	finished := false
	for e, err := range openai.Events(body) {
		if err != nil {
			return err
		}
		if finished = string(bytes.TrimSpace(e.Data)) == openai.Done; finished {
			break
		}
		a.events++
		var k chunk
		if err := json.Unmarshal(e.Data, &k); err != nil {
			if e.Cut {
				break
			}
			return fmt.Errorf("an event is %w: %v", errNotAPI, err)
		}
		if e.Name == "error" || k.failed() {
			return a.c.parseError(0, e.Data)
		}
		if err := a.deliver(&k); err != nil {
			return err
		}
	}
	switch {
	case a.finish != "" || finished && a.usage != nil:
		return nil
	case finished && a.pieces > 0:
		return errDropped
	}
	return io.ErrUnexpectedEOF
}

// whole reads the answer of a server that does not stream.
func (a *answer) whole(body io.Reader) error {
	data, err := readWhole(body)
	if err != nil {
		return err
	}
	var k chunk
	if err := json.Unmarshal(data, &k); err != nil {
		return fmt.Errorf("the answer is %w: %v", errNotAPI, err)
	}
	switch {
	case k.failed():
		return a.c.parseError(0, data)
	case len(k.Choices) == 0:
		return fmt.Errorf("the answer is %w: it has no choices", errNotAPI)
	}
	return a.deliver(&k)
}

func readWhole(body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		return nil, openai.ErrHugeEvent
	}
	return data, err
}

func (a *answer) deliver(k *chunk) error {
	p, finish := k.piece()
	if finish != "" {
		a.finish = finish
	}
	if k.Usage != nil && k.Usage.CompletionTokens > 0 {
		a.usage = k.Usage
	}
	if p.empty() {
		return nil
	}
	a.last = time.Now()
	if a.pieces == 0 {
		a.stats.FirstToken = a.last.Sub(a.start)
	}
	a.pieces++
	a.bytes += p.bytes()
	a.count()
	if !a.yield(p, nil) {
		return errLeft
	}
	return nil
}

// count sets the numbers of the answer so far.
func (a *answer) count() {
	s := a.stats
	s.NewTokens, s.Counted = a.pieces, false
	if a.usage != nil {
		s.NewTokens, s.PromptTokens, s.Counted = a.usage.CompletionTokens, a.usage.PromptTokens, true
	}
	if a.pieces > 0 {
		s.DecodeTime = a.last.Sub(a.start) - s.FirstToken
	}
	s.StopReason = a.finish
}
