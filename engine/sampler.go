package engine

// A Sampler says how the next token is chosen from the logits. The zero value
// takes the likeliest. The same seed gives the same tokens.
//
// The stages and their order are llama.cpp's: bias, penalties, TopK, TopP,
// MinP, Temperature. A stage whose field is zero is off.
type Sampler struct {
	Temperature      float32 // 0 is greedy
	TopK             int     // the K likeliest tokens
	TopP             float32 // the likeliest tokens that have this probability together (Holtzman et al. 2019)
	MinP             float32 // tokens with at least this share of the likeliest one's probability (Nguyen et al. 2024)
	RepeatPenalty    float32 // positive logits of seen tokens are divided by it, others multiplied (Keskar et al. 2019)
	FrequencyPenalty float32 // subtracted for each time that a token was seen
	PresencePenalty  float32 // subtracted once from a token that was seen
	RepeatLastN      int     // how many last tokens count as seen; 0 is 64, negative is all
	Seed             uint64
	Bias             map[int32]float32 // added to logits
}

// DefaultSampler is what llama.cpp does when nothing is said.
func DefaultSampler() Sampler {
	return Sampler{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05}
}
