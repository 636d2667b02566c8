package tokenizer_test

import (
	"fmt"

	"github.com/llcuda/llcuda/engine/tokenizer"
)

func Example() {
	t, err := tokenizer.New(tokenizer.Vocab{
		Model:  "gpt2",
		Pre:    "gpt-2",
		Tokens: []string{"l", "o", "w", "e", "r", "Ġ", "lo", "low", "er", "Ġlow", "<|im_end|>"},
		Types:  []int32{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3},
		Merges: []string{"l o", "lo w", "e r", "Ġ low"}, // Ġ stands for a space
		BOS:    -1, EOS: 10, EOT: -1, EOM: -1, UNK: -1, PAD: -1, SEP: -1,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := t.Encode("lower low<|im_end|>", tokenizer.Options{Special: true})
	for _, id := range ids {
		fmt.Printf("%d %q %q\n", id, t.Text(id), t.Piece(id))
	}
	fmt.Printf("%q, ends: %v\n", t.Decode(ids), t.IsEOG(ids[len(ids)-1]))
	// Output:
	// 7 "low" "low"
	// 8 "er" "er"
	// 9 "Ġlow" " low"
	// 10 "<|im_end|>" ""
	// "lower low", ends: true
}
