package engine

import (
	"fmt"
	"slices"
	"sync"

	"github.com/llcuda/llcuda/engine/grammar"
	"github.com/llcuda/llcuda/engine/tokenizer"
)

// grammars keeps what a model has computed for constraints.
type grammars struct {
	mu           sync.Mutex
	vocabularies map[string]*grammar.Vocabulary // by the visible tokens
	machines     map[string]*grammar.Machine    // by grammar and visible tokens
	size         float64                        // of them all, see grammar.Size
}

// A model remembers so many grammars, of at most this size together.
const (
	maxMachines    = 16
	maxMachineSize = 1.5
)

// Constrain is a GenerateOptions.Constraint for one generation, whose text g
// describes. visible are the tokens of GenerateOptions.Visible. The first one
// of a model takes a tenth of a second; what one generation finds out about a
// grammar the next ones know.
func (m *Model) Constrain(g *grammar.Grammar, visible ...int32) *grammar.Matcher {
	c := &m.grammars
	c.mu.Lock()
	defer c.mu.Unlock()
	visible = slices.Clone(visible)
	slices.Sort(visible)
	shown := fmt.Sprint(slices.Compact(visible))
	key := shown + g.Key()
	if machine := c.machines[key]; machine != nil {
		return machine.Matcher()
	}
	if c.size += g.Size(); c.machines == nil || len(c.machines) >= maxMachines || c.size > maxMachineSize {
		c.machines, c.size = map[string]*grammar.Machine{}, g.Size()
	}
	if c.vocabularies == nil || len(c.vocabularies) >= maxMachines {
		c.vocabularies = map[string]*grammar.Vocabulary{}
	}
	v := c.vocabularies[shown]
	if v == nil {
		v = grammar.NewVocabulary(&shownPieces{m.tokenizer, visible})
		c.vocabularies[shown] = v
	}
	c.machines[key] = grammar.NewMachine(g, v)
	return c.machines[key].Matcher()
}

// shownPieces is a vocabulary in which some control tokens are text.
type shownPieces struct {
	*tokenizer.Tokenizer
	visible []int32 // sorted
}

func (p *shownPieces) Piece(id int32) []byte {
	if _, ok := slices.BinarySearch(p.visible, id); ok {
		return []byte(p.Text(id))
	}
	return p.Tokenizer.Piece(id)
}
