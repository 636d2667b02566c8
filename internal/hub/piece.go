package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// A piece is one range of a file, in memory until those before it are written.
type piece struct {
	from  int64
	buf   []byte // as long as the range
	got   int    // bytes of buf that are here
	ready chan error
}

// ranges fetches what misses, several pieces at once, and writes them in order.
func (t *transfer) ranges(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pieces := make(chan *piece, max(0, t.c.connections-1))
	go t.cut(ctx, t.at, pieces)
	var failed error
	for p := range pieces {
		err := <-p.ready
		if failed != nil {
			p.save(t) // what cannot be saved comes again
			continue
		}
		if _, e := t.Write(p.buf[:p.got]); e != nil {
			err = e
		}
		if err != nil {
			failed = err
			cancel(err)
		}
	}
	if failed == nil && t.at < t.meta.size {
		failed = context.Cause(ctx) // ended before the last piece was cut
	}
	return failed
}

// cut makes the pieces, in order, and starts each. Pieces end at multiples of
// their size, so that those put down earlier are met again.
func (t *transfer) cut(ctx context.Context, from int64, pieces chan<- *piece) {
	defer close(pieces)
	for from < t.meta.size {
		end := min((from/t.c.piece+1)*t.c.piece, t.meta.size)
		p := &piece{from: from, buf: make([]byte, end-from), ready: make(chan error, 1)}
		select {
		case <-ctx.Done():
			return
		case pieces <- p:
		}
		p.load(t)
		go func() { p.ready <- t.c.retry(ctx, t.c.tries, func() (bool, error) { return t.get(ctx, p) }) }()
		from = end
	}
}

// get fetches what misses of a piece, in one request.
func (t *transfer) get(ctx context.Context, p *piece) (progress bool, err error) {
	if p.got == len(p.buf) {
		return false, nil
	}
	from, end := p.from+int64(p.got), p.from+int64(len(p.buf))
	r, err := t.open(ctx, from, end)
	if err != nil {
		return false, err
	}
	defer r.Body.Close()
	for p.got < len(p.buf) {
		n, err := r.Body.Read(p.buf[p.got:min(len(p.buf), p.got+256<<10)])
		p.got += n
		t.came(int64(n))
		progress = progress || n > 0
		if err != nil && p.got < len(p.buf) {
			if errors.Is(err, errStalled) || ctx.Err() != nil {
				return progress, err
			}
			return progress, fmt.Errorf("%w after %d of %d bytes", errCut, p.from+int64(p.got), t.meta.size)
		}
	}
	return progress, nil
}

// name is the place of a piece that ran ahead; the number is the range's.
func (p *piece) name(t *transfer) string {
	return fmt.Sprintf("%s.%08x.incomplete", t.blob, p.from/t.c.piece)
}

func (p *piece) save(t *transfer) {
	if p.got > 0 && p.from%t.c.piece == 0 {
		if os.WriteFile(p.name(t), p.buf[:p.got], 0o666) != nil {
			os.Remove(p.name(t))
		}
	}
}

// load takes up a piece that was put down.
func (p *piece) load(t *transfer) {
	if p.from%t.c.piece != 0 {
		return
	}
	b, err := os.ReadFile(p.name(t))
	if err != nil {
		return
	}
	os.Remove(p.name(t))
	if len(b) <= len(p.buf) {
		p.got = copy(p.buf, b)
		t.came(int64(p.got))
	}
}
