package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// most bounds the tries of one request even where each brings a few bytes.
const most = 100

// retry calls try until it succeeds, fails for good, or has failed tries times
// on end without progress. Between two calls it waits: what the server asks
// for, else twice as long each time, give or take a quarter so that many
// clients do not come back at once.
func (c *Client) retry(ctx context.Context, tries int, try func() (progress bool, err error)) error {
	for n, all := 1, 1; ; n, all = n+1, all+1 {
		progress, err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if progress {
			n = 1
		}
		wait := c.backoff << min(n-1, 5)
		wait += time.Duration((rand.Float64() - 0.5) / 2 * float64(wait))
		var status *StatusError
		if errors.As(err, &status) && status.RetryAfter > 0 {
			wait = status.RetryAfter
		}
		switch {
		case !temporary(err) || wait > max(c.patience, c.backoff):
			return err
		case n >= tries || all >= most:
			if n == 1 {
				return err
			}
			return fmt.Errorf("%w (tried %d times)", err, n)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
