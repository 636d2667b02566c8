package remote

import "time"

// Stats count an answer and its time, as seen from here: the network is in it.
type Stats struct {
	Server       string // host that answered
	PromptTokens int    // 0 where the server does not count
	NewTokens    int    // or, where it does not count, pieces
	Counted      bool   // the server counted
	FirstToken   time.Duration
	DecodeTime   time.Duration // from the first piece to the last
	Tries        int           // requests that were sent
	AsChat       bool          // the server continues no texts: the prompt was sent as a user's message
	StopReason   string        // "stop", "length", "tool_calls", … of the API; "cancelled", "error"
}

// AtOnce reports whether an answer came too fast to have been read while it
// was made: the server does not stream, or something on the way held it back.
func (s *Stats) AtOnce() bool {
	return s.NewTokens > 1 && s.DecodeTime < time.Duration(s.NewTokens)*50*time.Microsecond
}

// PerSecond is the speed behind the first token, in tokens where the server
// counted and in pieces where it did not. 0 is unknown.
func (s *Stats) PerSecond() float64 {
	if s.NewTokens < 2 || s.AtOnce() {
		return 0
	}
	return float64(s.NewTokens-1) / s.DecodeTime.Seconds()
}
