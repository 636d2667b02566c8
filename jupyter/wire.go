package jupyter

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/uuid/v5"
)

// protocolVersion is the version of the messaging protocol in every header.
const protocolVersion = "5.4"

// delimiter stands between the routing identities and the message.
const delimiter = "<IDS|MSG>"

// A header identifies a message.
type header struct {
	ID       string `json:"msg_id"`
	Session  string `json:"session"`
	Username string `json:"username"`
	Date     string `json:"date"`
	Type     string `json:"msg_type"`
	Version  string `json:"version"`
}

// A message as it came from a front end. The JSON parts are valid objects.
type message struct {
	ids       [][]byte // where the reply goes
	header    header
	rawHeader json.RawMessage // the parent header of everything it causes
	content   json.RawMessage
	buffers   [][]byte
	received  time.Time
	last      bool // the kernel leaves when it is answered
}

// A session makes and reads messages: it signs, verifies and numbers them.
type session struct {
	id, username string
	key          []byte
	last         atomic.Int64

	mu   sync.Mutex
	seen map[string]bool // signatures of the latest messages
	ring []string        // the same in the order they came
	next int             // in ring: the oldest
}

// remembered is how many messages back a replay is noticed.
const remembered = 1 << 14

func newSession(key string) (*session, error) {
	id, err := uuid.NewV4()
	if err != nil {
		return nil, fmt.Errorf("jupyter: session id: %w", err)
	}
	s := &session{id: id.String(), username: "kernel", key: []byte(key), seen: make(map[string]bool)}
	if u, err := user.Current(); err == nil && u.Username != "" {
		s.username = u.Username
	}
	return s, nil
}

// sign returns the hexadecimal HMAC-SHA256 of the four JSON parts, empty where
// the connection has no key.
func (s *session) sign(parts [][]byte) []byte {
	if len(s.key) == 0 {
		return []byte{}
	}
	mac := hmac.New(sha256.New, s.key)
	for _, p := range parts {
		mac.Write(p)
	}
	return hex.AppendEncode(nil, mac.Sum(nil))
}

// parse reads the frames of a message and refuses what is malformed, wrongly
// signed or seen before. The frames may come from anybody.
func (s *session) parse(frames [][]byte) (*message, error) {
	at := 0
	for at < len(frames) && string(frames[at]) != delimiter {
		at++
	}
	if at == len(frames) {
		return nil, errors.New("message without " + delimiter)
	}
	ids, rest := frames[:at], frames[at+1:]
	if len(rest) < 5 {
		return nil, fmt.Errorf("message of %d parts, at least 5 needed", len(rest))
	}
	signature, parts := rest[0], rest[1:5]
	if !hmac.Equal(signature, s.sign(parts)) && len(s.key) > 0 {
		return nil, errors.New("wrong signature")
	}
	m := &message{ids: ids, rawHeader: parts[0], content: parts[3], buffers: rest[5:], received: time.Now()}
	if err := json.Unmarshal(parts[0], &m.header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if m.header.ID == "" || m.header.Type == "" {
		return nil, errors.New("header without msg_id or msg_type")
	}
	for i, name := range []string{"header", "parent header", "metadata", "content"} {
		if !isObject(parts[i]) {
			return nil, fmt.Errorf("%s is no JSON object", name)
		}
	}
	if len(s.key) > 0 && s.replayed(string(signature)) {
		return nil, errors.New("a message that was here before")
	}
	return m, nil
}

func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{' && json.Valid(b)
}

func (s *session) replayed(signature string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[signature] {
		return true
	}
	s.seen[signature] = true
	if len(s.ring) < remembered {
		s.ring = append(s.ring, signature)
		return false
	}
	delete(s.seen, s.ring[s.next])
	s.ring[s.next] = signature
	s.next = (s.next + 1) % remembered
	return false
}

// frames makes a message without routing identities. parent is a raw header,
// nil for none.
func (s *session) frames(msgType string, parent json.RawMessage, content any, buffers [][]byte) ([][]byte, error) {
	h, err := encode(header{
		ID:       s.id + "_" + strconv.FormatInt(s.last.Add(1), 10),
		Session:  s.id,
		Username: s.username,
		Date:     time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"),
		Type:     msgType,
		Version:  protocolVersion,
	})
	if err != nil {
		return nil, err
	}
	c, err := encode(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", msgType, err)
	}
	if parent == nil {
		parent = json.RawMessage("{}")
	}
	parts := [][]byte{h, parent, []byte("{}"), c}
	frames := append([][]byte{[]byte(delimiter), s.sign(parts)}, parts...)
	return append(frames, buffers...), nil
}

// encode is json.Marshal without escapes for HTML, which only make it longer.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
