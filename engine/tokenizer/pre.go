package tokenizer

import "fmt"

// A pre is what the name of a pre-tokenizer stands for.
type pre struct {
	stages       []splitter
	ignoreMerges bool // a word that is in the vocabulary is taken whole
	addBOS       bool // the default of tokenizer.ggml.add_bos_token
	keepSpaces   bool // spaces before punctuation are not dropped by DecodeOptions.Clean
	plain        bool // merges work on characters, not on bytes in GPT-2's disguise; unknown ones become <0xXX>
	escape       bool // spaces are written as ▁
	wholeLines   bool // a run of line ends that is in the vocabulary is taken whole
	noBOS        bool // even a file that says so has none by default
}

// The characters that the regular expressions name, as ranges (lowest, highest, lowest, …).
var (
	cjkKana   = ranges("\u3040ヿ一龥")
	cjkWide   = ranges("ࠀ龥가\uD7FF") // from U+0800 on: most likely a slip of its author, but models were trained with it
	hangul    = ranges("ㄱㆎ가힣")
	fullWidth = ranges("——‘’“”……、〿︰﹏！！，，：；")
	bopomofo  = ranges("ㄅㄯ")
	asian     = ranges("เ\u0EFFက႟ᄀᇿក\u17FF⼀\u2FDF\u3040ヿ㐀䶿一\uFAFF･ﾟ")
	// The letters of scripts with two cases, as deepseek-llm spells them out.
	bicameral = ranges("AZazµµÀÖØöøƺƼƿǄʓʕʯͰͳͶͷͻͽͿͿΆΆΈΊΌΌΎΡΣϵϷҁҊԯԱՖႠჅᎠᏵᏸᏽᲐᲺᲽᲿᴀᴫᵫᵷᵹᶚḀἕἘἝἠὅὈὍὐὗὙὙὛὛὝὝὟώᾀᾴᾶᾼιιῂῄ" +
		"ῆῌῐΐῖΊῠῬῲῴῶῼℂℂℇℇℊℓℕℕℙℝℤℤΩΩℨℨKℭℯℴℹℹℼℿⅅⅉⅎⅎↃↄⰀⱻⱾⳤⳫⳮⳲⳳꙀꙭꚀꚛꜢꝯꝱꞇꞋꞎꭰꮿﬀﬆﬓﬗＡＺａｚ𐐀𐑏𐒰𐓓𐓘𐓻𐲀𐲲𐳀𐳲𑢠𑣟𞤀𞥃")
	punctuation = ranges("!/:~‘‟\u3000。！／：～")
)

// preTokenizer returns what a name means to llama.cpp (llama-vocab.cpp, October 2026).
// An unknown name is an error, as there: with a wrong splitter a model answers, but worse, and nobody sees why.
func preTokenizer(name string) (pre, error) {
	byGPT2 := []splitter{every(gpt2)}
	digitGPT2 := []splitter{find(numbers(1)), every(gpt2)}
	family := func(w words) []splitter { return []splitter{every(w.next)} }
	deepseekV3 := []splitter{find(numbers(3)), find(cjkKana.run), find(deepseek3("\r\n", newlines))}
	switch name {
	case "", "default":
		return pre{stages: []splitter{find(symbols("$+<=>^~|")), every(gpt2), find(numbers(anyNumber)), find(three)}}, nil
	case "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum", "modern-bert",
		"jina-v1-en", "jina-v2-code", "roberta-bpe", "mpt", "olmo", "jais", "exaone4":
		return pre{stages: byGPT2}, nil
	case "trillion", "granite-docling":
		return pre{stages: byGPT2, keepSpaces: true}, nil
	case "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2":
		return pre{stages: digitGPT2}, nil
	case "command-r", "smollm":
		return pre{stages: digitGPT2, keepSpaces: true}, nil
	case "falcon":
		return pre{stages: []splitter{find(symbols("$+<=>^~|`")), every(gpt2), find(three)}}, nil
	case "bloom", "gpt3-finnish":
		return pre{stages: []splitter{find(bloom)}}, nil
	case "poro-chat":
		return pre{stages: []splitter{find(bloom)}, keepSpaces: true}, nil
	case "viking":
		return pre{stages: []splitter{find(bloom), find(numbers(1))}, keepSpaces: true}, nil

	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano":
		return pre{stages: family(llama3(3)), ignoreMerges: true, addBOS: true}, nil
	case "dbrx", "smaug-bpe":
		return pre{stages: family(llama3(3))}, nil
	case "chatglm-bpe":
		return pre{stages: family(llama3(3)), noBOS: true}, nil
	case "glm4", "glm5":
		return pre{stages: family(llama3(3)), noBOS: true, ignoreMerges: true}, nil
	case "minicpm5":
		return pre{stages: []splitter{find(numbers(3)), every(llama3(anyNumber).next)}, ignoreMerges: true}, nil
	case "jais-2":
		w := llama3(3)
		w.white = steps
		return pre{stages: family(w)}, nil

	case "stablelm2", "megrez":
		return pre{stages: family(llama3(1))}, nil
	case "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "hunyuan", "solar-open", "grok-2", "bailingmoe", "bailingmoe2", "llada-moe":
		// Ling's \s*[\r\n] without + is the same: \s* is greedy.
		return pre{stages: family(llama3(1)), keepSpaces: true}, nil
	case "laguna":
		return pre{stages: []splitter{every(lines), every(llama3(1).next)}, keepSpaces: true}, nil
	case "seed-coder":
		w := llama3(1)
		w.tail = ""
		return pre{stages: family(w), keepSpaces: true}, nil
	case "ufakzeka":
		w := llama3(1)
		w.contractions = false
		return pre{stages: family(w), keepSpaces: true}, nil
	case "qwen35":
		w := llama3(1)
		w.letters, w.solid = letter|mark, mark
		return pre{stages: family(w), keepSpaces: true}, nil
	case "exaone-moe":
		w := llama3(1)
		w.word, w.tail, w.tailOnce = phrase, "\r\n/", true
		return pre{stages: family(w)}, nil

	case "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2":
		return pre{stages: family(gpt4o(letter)), keepSpaces: true}, nil
	case "granite-embed-multi-97m":
		return pre{stages: family(gpt4o(letter | mark)), keepSpaces: true, ignoreMerges: true}, nil
	case "tekken":
		w := gpt4o(letter)
		w.suffix, w.digits = false, 1
		return pre{stages: family(w), keepSpaces: true, ignoreMerges: true, addBOS: true}, nil
	case "tiny_aya", "cohere2moe":
		w := gpt4o(letter | mark)
		w.word = nil
		return pre{stages: []splitter{groups, every(w.next)}, keepSpaces: true}, nil
	case "youtu":
		w := gpt4o(letter | mark)
		w.word, w.digits = nil, 1
		return pre{stages: []splitter{find(youtu), every(w.next)}, keepSpaces: true, ignoreMerges: true}, nil
	case "kimi-k2":
		return pre{stages: []splitter{every(kimi)}, keepSpaces: true}, nil

	case "deepseek-llm":
		return pre{stages: []splitter{find(newline), find(spacedOf(bicameral)), find(spacedOf(punctuation)), trailing,
			find(cjkWide.run), find(numbers(anyNumber))}, keepSpaces: true}, nil
	case "deepseek-coder":
		return pre{stages: []splitter{find(newline), find(spaced(letter)), find(spaced(punct)), find(cjkWide.run), find(numbers(1))},
			keepSpaces: true}, nil
	case "deepseek-v3", "hunyuan-dense", "hy_v4", "joyai-llm":
		return pre{stages: deepseekV3, keepSpaces: true}, nil
	case "spark2_5":
		return pre{stages: []splitter{find(numbers(3)), find(cjkKana.run), find(deepseek3("", newlineOrSpaces)), find(numbers(1))},
			keepSpaces: true}, nil
	case "afmoe":
		return pre{stages: []splitter{groups, find(asian.run), find(deepseek3("\r\n", newlines))}, keepSpaces: true}, nil

	case "superbpe":
		return pre{stages: []splitter{find(numbers(anyNumber)), thirds}, keepSpaces: true}, nil
	case "chameleon":
		return pre{stages: []splitter{find(sentinel), find(image), find(indent), find(numbers(1)), find(mark1), every(gpt2)},
			keepSpaces: true, addBOS: true}, nil
	case "gemma4", "granite-embed-multi-311m":
		return pre{stages: []splitter{every(lines)}, plain: true, escape: true, wholeLines: true, addBOS: true}, nil
	case "sarvam-moe":
		return pre{stages: []splitter{every(lines)}, plain: true, escape: true, keepSpaces: true}, nil
	case "whitespace":
		return pre{stages: []splitter{find(func(s string) int { return runNot(s, 0, space) })}, plain: true}, nil
	}
	return pre{}, fmt.Errorf("tokenizer: pre-tokenizer %q is not known; a newer llcuda may know it, "+
		"or convert the model again (tokenizer.ggml.pre says how text is cut into words)", name)
}

// youtu matches a run of one of four scripts.
func youtu(s string) int {
	for _, script := range []ranges{hangul, fullWidth, bopomofo, cjkKana} {
		if n := script.run(s); n > 0 {
			return n
		}
	}
	return 0
}
