package chat

// An Event is a piece of what a model says. The Raw texts of all events in a
// row are the text that the parser was given.
type Event struct {
	Kind EventKind
	Text string   // of a delta
	Call int      // of tool calls: which one, from 0
	Tool ToolCall // of CallStart: ID and Name; of CallEnd: the whole call
	Raw  string   // the text that the event was made from
}

// An EventKind is what an Event says.
type EventKind uint8

const (
	Markup         EventKind = iota // nothing to show: tags, and blanks around them
	ReasoningDelta                  // Text is more of what the model thinks
	ContentDelta                    // Text is more of the answer
	CallStart                       // a tool call begins
	CallArguments                   // Text is more of its arguments
	CallEnd                         // it is whole
)

// A Collector puts events together to the message that they are.
type Collector struct{ Message Message }

// Add adds an event.
func (c *Collector) Add(e Event) {
	m := &c.Message
	m.Role = Assistant
	switch e.Kind {
	case ReasoningDelta:
		m.Reasoning += e.Text
	case ContentDelta:
		m.Content += e.Text
	case CallEnd:
		m.ToolCalls = append(m.ToolCalls, e.Tool)
	}
}
