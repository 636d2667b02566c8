package server

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/llcuda/llcuda/engine"
)

// serverMetrics are what /metrics tells, in Prometheus' text format.
// https://prometheus.io/docs/instrumenting/exposition_formats/
type serverMetrics struct {
	server *Server

	requests     counts // by route and code
	failed       atomic.Int64
	refused      atomic.Int64 // of them: the queue was full
	cancelled    atomic.Int64 // texts whose client went
	promptTokens atomic.Int64
	cachedTokens atomic.Int64
	newTokens    atomic.Int64
	firstToken   *histogram // seconds
	speed        *histogram // tokens a second of one text
	pace         pace       // of all texts
}

// pace counts the tokens of the last seconds.
type pace struct {
	mu      sync.Mutex
	seconds [paceSeconds + 1]int64 // since 1970, of each place
	tokens  [paceSeconds + 1]int64
}

const paceSeconds = 3

func (p *pace) add(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	second := now.Unix()
	i := second % int64(len(p.seconds))
	if p.seconds[i] != second {
		p.seconds[i], p.tokens[i] = second, 0
	}
	p.tokens[i]++
}

// perSecond is the mean of the seconds before this one.
func (p *pace) perSecond(now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := int64(0)
	for i, second := range p.seconds {
		if ago := now.Unix() - second; 1 <= ago && ago <= paceSeconds {
			sum += p.tokens[i]
		}
	}
	return float64(sum) / paceSeconds
}

// token counts one as it comes.
func (m *serverMetrics) token() {
	m.newTokens.Add(1)
	m.pace.add(time.Now())
}

type counts struct {
	mu sync.Mutex
	n  map[string]int64 // by labels: `route="/health",code="200"`
}

func (c *counts) add(labels string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int64{}
	}
	c.n[labels]++
}

// sum is the sum of all whose labels contain a text.
func (c *counts) sum(labels string) (sum int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l, n := range c.n {
		if strings.Contains(l, labels) {
			sum += n
		}
	}
	return sum
}

// A histogram counts values up to each of its bounds.
type histogram struct {
	bounds []float64
	mu     sync.Mutex
	in     []int64 // by bound; the last is of all others
	sum    float64
}

func newHistogram(bounds ...float64) *histogram {
	return &histogram{bounds: bounds, in: make([]int64, len(bounds)+1)}
}

func (h *histogram) add(v float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, _ := slices.BinarySearch(h.bounds, v)
	h.in[i]++
	h.sum += v
}

func newMetrics(s *Server) *serverMetrics {
	return &serverMetrics{server: s,
		firstToken: newHistogram(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60),
		speed:      newHistogram(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)}
}

// request counts an answer.
func (m *serverMetrics) request(route string, status int) {
	m.requests.add(fmt.Sprintf(`route=%q,code="%d"`, route, status))
	if status >= 400 {
		m.failed.Add(1)
	}
	if status == http.StatusTooManyRequests {
		m.refused.Add(1)
	}
}

// text counts a generation; waited is its time in the queue.
func (m *serverMetrics) text(prompt int, st *engine.Stats, waited time.Duration) {
	m.promptTokens.Add(int64(prompt))
	m.cachedTokens.Add(int64(max(prompt-st.PromptTokens, 0)))
	if st.StopReason == "cancelled" {
		m.cancelled.Add(1)
	}
	if st.NewTokens > 0 {
		m.firstToken.add((waited + st.FirstToken).Seconds())
	}
	if st.NewTokens > 1 {
		m.speed.add(st.TokensPerSecond())
	}
}

func (s *Server) writeMetrics(w *response, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	var b strings.Builder
	s.metrics.write(&b)
	io.WriteString(w, b.String())
	return nil
}

func (m *serverMetrics) write(b *strings.Builder) {
	one := func(kind, name, help string, v float64) {
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n%s %s\n", name, help, name, kind, name, number(v))
	}
	const requests = "llcuda_requests_total"
	fmt.Fprintf(b, "# HELP %s Answered requests.\n# TYPE %s counter\n", requests, requests)
	m.requests.mu.Lock()
	for _, labels := range slices.Sorted(maps.Keys(m.requests.n)) {
		fmt.Fprintf(b, "%s{%s} %d\n", requests, labels, m.requests.n[labels])
	}
	m.requests.mu.Unlock()
	st := m.server.Status()
	one("counter", "llcuda_refused_total", "Requests that found the queue full.", float64(m.refused.Load()))
	one("counter", "llcuda_cancelled_total", "Texts that were cancelled, as their client went.", float64(m.cancelled.Load()))
	one("counter", "llcuda_prompt_tokens_total", "Tokens of prompts.", float64(st.Prompt))
	one("counter", "llcuda_cached_tokens_total", "Tokens of prompts that were in the cache and not computed again.", float64(st.Cached))
	one("counter", "llcuda_generated_tokens_total", "Tokens that were generated.", float64(st.Generated))
	one("gauge", "llcuda_running_texts", "Texts that are being generated.", float64(st.Running))
	one("gauge", "llcuda_waiting_texts", "Texts that wait for a place.", float64(st.Waiting))
	one("gauge", "llcuda_uptime_seconds", "Time since the start.", st.Up.Seconds())
	m.firstToken.write(b, "llcuda_first_token_seconds", "Time from a text's arrival to its first token.")
	m.speed.write(b, "llcuda_tokens_per_second", "Speed of decoding one text.")
	if model := m.server.o.Model; model != nil {
		i := model.Info()
		one("gauge", "llcuda_weights_bytes", "Weights of the model.", float64(i.WeightBytes))
		one("gauge", "llcuda_cache_bytes", "Key-value cache of one text.", float64(i.CacheBytes))
	}
	memory := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(memory)
	one("gauge", "go_memory_heap_bytes", "Memory of live objects, without weights and caches on devices.", float64(memory[0].Value.Uint64()))
	one("gauge", "go_memory_total_bytes", "Memory that the Go runtime has from the system.", float64(memory[1].Value.Uint64()))
	one("gauge", "go_goroutines", "Goroutines.", float64(memory[2].Value.Uint64()))
}

func (h *histogram) write(b *strings.Builder, name, help string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name)
	total := int64(0)
	for i, n := range h.in {
		total += n
		bound := "+Inf"
		if i < len(h.bounds) {
			bound = number(h.bounds[i])
		}
		fmt.Fprintf(b, "%s_bucket{le=%q} %d\n", name, bound, total)
	}
	fmt.Fprintf(b, "%s_sum %s\n%s_count %d\n", name, number(h.sum), name, total)
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
