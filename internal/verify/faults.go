package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/engine/chat"
	"github.com/llcuda/llcuda/engine/tokenizer"
)

// Faults are what exports of models are known to get wrong, where m has it: a
// line each, with what to do.
func Faults(m *engine.Model) []string {
	if m.Info().Encoder {
		return nil
	}
	kind, _ := m.File().StringOr("tokenizer.ggml.model", "")
	pre, _ := m.File().StringOr("tokenizer.ggml.pre", "")
	all := preTokenizer(kind, pre, m.Tokenizer().Text)
	t, err := chat.NewTemplate(m)
	if err != nil || t.Completion() {
		return all
	}
	tok := m.Tokenizer()
	closed, err1 := t.Render(conversation(true), nil, chat.Options{})
	open, err2 := t.Render(conversation(true), nil, chat.Options{AddGenerationPrompt: true})
	answered, err3 := t.Render(conversation(false), nil, chat.Options{})
	if err1 != nil || err2 != nil || err3 != nil {
		return all
	}
	if bos, ok := tok.BOS(); ok {
		if text := tok.Text(bos); text != "" && strings.HasPrefix(open, text+text) {
			all = append(all, fmt.Sprintf("the chat template begins with %s twice, which makes answers worse: take one out of tokenizer.chat_template (tokenizer_config.json) and export again", text))
		}
	}
	if open == closed {
		all = append(all, "the chat template has no generation prompt (add_generation_prompt changes nothing), so that the model may write the user's turn: export with the template of the model's author")
	}
	_, named := m.File().Value("tokenizer.ggml.eos_token_id")
	return append(all, ends(tok, answered, named)...)
}

// ends says that nothing after an answer ends the generation. named: the file
// names an end-of-text token.
func ends(tok *tokenizer.Tokenizer, answered string, named bool) []string {
	_, after, _ := strings.Cut(answered, "It is 4.")
	ids := tok.Encode(after, tokenizer.Options{NoBOS: true, NoEOS: true, Special: true})
	var last string
	for _, id := range ids {
		if tok.IsEOG(id) {
			return nil
		}
		if tok.IsControl(id) && last == "" {
			last = tok.Text(id)
		}
	}
	if !named {
		return []string{"the file names no end-of-text token (tokenizer.ggml.eos_token_id): answers may go on until --max-tokens; export with the model's own tokenizer"}
	}
	if last == "" {
		return nil // the turns of this template end with plain text
	}
	return []string{fmt.Sprintf("answers end with %s in the chat template, which the file does not know as an end (eos_token_id, eot_token_id): they may go on; export with the model's own tokenizer, or use --stop %q", last, last)}
}

// preTokenizers are the rules that known vocabularies are cut by before BPE,
// told by one of their tokens and its number.
var preTokenizers = []struct {
	token string
	id    int32
	pre   []string
}{
	{"<|begin_of_text|>", 128000, []string{"llama-bpe", "llama3", "llama-v3", "smaug-bpe", "pixtral"}},
	{"<|im_start|>", 151644, []string{"qwen2", "deepseek-r1-qwen"}},
}

// preTokenizer says that a known vocabulary is to be cut by another's rules.
func preTokenizer(kind, pre string, text func(id int32) string) []string {
	if pre == "" || kind != "gpt2" { // said elsewhere, or of no use
		return nil
	}
	for _, p := range preTokenizers {
		if text(p.id) != p.token {
			continue
		}
		if slices.Contains(p.pre, pre) {
			return nil
		}
		return []string{fmt.Sprintf("the vocabulary is one that is cut by the rules of %s, and the file says %s (tokenizer.ggml.pre): texts become other tokens than in the training; export again with a newer converter", p.pre[0], pre)}
	}
	return nil
}
