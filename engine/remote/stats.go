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

// PerSecond is the speed behind the first token, in tokens where the server
// counted and in pieces where it did not.
func (s *Stats) PerSecond() float64 {
	if s.NewTokens < 2 || s.DecodeTime <= 0 {
		return 0
	}
	return float64(s.NewTokens-1) / s.DecodeTime.Seconds()
}
