//go:build race

package jupyter_test

func init() { race = true }
