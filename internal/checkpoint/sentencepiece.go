package checkpoint

func (m *model) sentencePiece() (*vocabulary, error) {
	return nil, refuse(nextDamaged, "has no tokenizer.json")
}
